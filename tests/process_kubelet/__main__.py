"""`unshare --mount python tests/process_kubelet <settings.json>`; what it starts ends with it."""

import json
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from process_kubelet.kubelet import Kubelet  # noqa: E402

Kubelet(json.loads(Path(sys.argv[1]).read_bytes())).run()
