// Runs once, when the database is made: a user who may read and write one database.
db.getSiblingDB("trainyard").createUser({
  user: "trainyard",
  pwd: process.env.TRAINYARD_PASSWORD,
  roles: [{ role: "readWrite", db: "trainyard" }],
});
