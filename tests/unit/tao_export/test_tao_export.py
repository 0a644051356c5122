"""What is refused before an export or a build of an engine begins."""

import pytest
import tao_fakes

from components.core.errors import SettingsError
from components.core.settings import build
from components.tao_engine.stage import STAGE as ENGINE
from components.tao_engine.stage import EngineSettings
from components.tao_export.stage import STAGE, ExportSettings
from pipelines.demo_tao import write_project


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("TAO_PATH", f"{tao_fakes.install(tmp_path / 'bin')}:/usr/bin:/bin")
    monkeypatch.setenv("TRAINYARD_TAO_KEY", "tlt_encode")
    return write_project(tmp_path / "work")


def test_a_bad_export_type_is_told_with_those_there_are(project):
    given = {"project": str(project), "experiment": "dssd_resnet18_01", "export_type": "fp8"}
    for kind in (ExportSettings, EngineSettings):
        with pytest.raises(SettingsError, match=r"export_type: .*'fp32', 'fp16' or 'int8'"):
            build(kind, given)


def test_a_bad_export_type_of_the_project_is_told_with_file_and_line(project):
    file = project / "experiments.yml"
    file.write_text(file.read_text().replace("export_type: fp16", "export_type: float", 1))
    told = STAGE.check(ExportSettings(project=str(project), experiment="dssd_resnet18_01"))
    line = 1 + file.read_text().splitlines().index("    export_type: float")
    assert f"{file}:{line}: " in str(told[0])
    assert "'float' is none of fp32, fp16, int8" in str(told[0])


def test_an_engine_needs_the_deploy_image(project, monkeypatch):
    given = {"project": str(project), "experiment": "dssd_resnet18_01"}
    assert ENGINE.check(EngineSettings(**given)) == []
    (told,) = ENGINE.check(EngineSettings(**given, deploy_release="5.0.0-tf1.15.5"))
    assert "holds TensorFlow 1 and builds no engines; use 5.0.0-deploy" in str(told)
    monkeypatch.setenv("TAO_PATH", "/usr/bin:/bin")
    (told,) = ENGINE.check(EngineSettings(**given))
    assert "dssd is not there" in str(told)
    assert "5.0.0-deploy" in str(told)
