-- The first tables. The schema "trainyard" is there; Optuna and others may share the database.

CREATE TABLE trainyard.migrations (
    number integer PRIMARY KEY CHECK (number > 0),
    name text NOT NULL,
    release text NOT NULL,
    applied timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE trainyard.migrations IS 'Which files of components/core/registry/migrations have run';
COMMENT ON COLUMN trainyard.migrations.release IS 'Version of Trainyard that ran it';

CREATE TABLE trainyard.sources (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CHECK (name = btrim(name) AND name <> '' AND name !~ '/'),
    added timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX sources_name ON trainyard.sources (lower(name));
COMMENT ON TABLE trainyard.sources IS 'Where clips come from';
COMMENT ON COLUMN trainyard.sources.name IS 'Name of the source''s folder, below the folder of all sources';

CREATE TABLE trainyard.classes (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CHECK (name = btrim(name) AND name <> '' AND name !~ '/'),
    added timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX classes_name ON trainyard.classes (lower(name));
COMMENT ON TABLE trainyard.classes IS 'What clips can show; added with the first task that names it';

CREATE TABLE trainyard.tasks (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CHECK (name = btrim(name) AND name <> ''),
    model_name text NOT NULL CHECK (model_name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$'),
    train double precision NOT NULL,
    validation double precision NOT NULL,
    test double precision NOT NULL,
    other boolean NOT NULL DEFAULT false,
    added timestamptz NOT NULL DEFAULT now(),
    changed timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT tasks_train CHECK (train >= 0 AND train < 'Infinity' AND (train < 1 OR train = floor(train))),
    CONSTRAINT tasks_validation CHECK (validation > 0 AND validation < 'Infinity' AND (validation < 1 OR validation = floor(validation))),
    CONSTRAINT tasks_test CHECK (test > 0 AND test < 'Infinity' AND (test < 1 OR test = floor(test))),
    CONSTRAINT tasks_fractions CHECK (
        CASE WHEN train < 1 THEN train ELSE 0 END
        + CASE WHEN validation < 1 THEN validation ELSE 0 END
        + CASE WHEN test < 1 THEN test ELSE 0 END
        < 1.000001
    )
);
CREATE UNIQUE INDEX tasks_name ON trainyard.tasks (lower(name));
COMMENT ON TABLE trainyard.tasks IS 'What somebody wants a model for';
COMMENT ON COLUMN trainyard.tasks.model_name IS 'Name that the model is published under';
COMMENT ON COLUMN trainyard.tasks.train IS 'Clips of each class to train on: a whole number from 1, or a fraction below 1; 0 for all the rest';
COMMENT ON COLUMN trainyard.tasks.validation IS 'Clips of each class that choose the best epoch, in the same form';
COMMENT ON COLUMN trainyard.tasks.test IS 'Clips of each class that the model is evaluated on, in the same form';
COMMENT ON COLUMN trainyard.tasks.other IS 'Whether clips of every folder of no class are the class "Other"';

CREATE TABLE trainyard.task_classes (
    task_id integer NOT NULL REFERENCES trainyard.tasks ON DELETE CASCADE,
    class_id integer NOT NULL REFERENCES trainyard.classes,
    position integer NOT NULL CHECK (position > 0),
    PRIMARY KEY (task_id, class_id),
    UNIQUE (task_id, position)
);
COMMENT ON TABLE trainyard.task_classes IS 'The classes of a task, in the order in which they were named';

CREATE TABLE trainyard.task_sources (
    task_id integer NOT NULL REFERENCES trainyard.tasks ON DELETE CASCADE,
    source_id integer NOT NULL REFERENCES trainyard.sources,
    position integer NOT NULL CHECK (position > 0),
    PRIMARY KEY (task_id, source_id),
    UNIQUE (task_id, position)
);
COMMENT ON TABLE trainyard.task_sources IS 'The sources of a task, in the order in which they were named';

CREATE TABLE trainyard.runs (
    key text PRIMARY KEY CHECK (key <> ''),
    task_id integer NOT NULL REFERENCES trainyard.tasks,
    status text NOT NULL DEFAULT 'started' CHECK (status IN ('started', 'failed', 'skipped', 'finished')),
    stage text,
    reason text,
    model_name text,
    model_version integer CHECK (model_version > 0),
    location text,
    metrics jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metrics) = 'object'),
    started timestamptz NOT NULL DEFAULT now(),
    ended timestamptz CHECK (ended >= started),
    CONSTRAINT runs_ended CHECK ((status = 'started') = (ended IS NULL)),
    CONSTRAINT runs_failed CHECK (
        (status IN ('failed', 'skipped')) = (reason IS NOT NULL)
        AND (status IN ('failed', 'skipped')) = (stage IS NOT NULL)
    ),
    CONSTRAINT runs_finished CHECK (
        (status = 'finished') = (model_name IS NOT NULL)
        AND (status = 'finished') = (model_version IS NOT NULL)
        AND (status = 'finished') = (location IS NOT NULL)
    )
);
CREATE INDEX runs_task ON trainyard.runs (task_id, started DESC);
COMMENT ON TABLE trainyard.runs IS 'Runs of pipelines for a task, and what became of them';
COMMENT ON COLUMN trainyard.runs.key IS 'Id of the run (TRAINYARD_RUN_ID); trying it again keeps it';
COMMENT ON COLUMN trainyard.runs.status IS 'skipped: there was nothing to train';
COMMENT ON COLUMN trainyard.runs.stage IS 'Of a failed or skipped run: the stage that ended it';
COMMENT ON COLUMN trainyard.runs.reason IS 'Of a failed or skipped run: why, in one line';
COMMENT ON COLUMN trainyard.runs.location IS 'Of a finished run: the model repository, a path or s3://bucket/prefix';
COMMENT ON COLUMN trainyard.runs.metrics IS 'Of a finished run: headline figure of the evaluation -> number';
