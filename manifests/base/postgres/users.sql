-- Runs once, when the database is made: a user without special rights, and what belongs to him.
\getenv password TRAINYARD_PASSWORD
CREATE ROLE trainyard LOGIN PASSWORD :'password';
CREATE DATABASE trainyard OWNER trainyard;
CREATE DATABASE optuna OWNER trainyard;
REVOKE ALL ON DATABASE trainyard, optuna FROM PUBLIC;
