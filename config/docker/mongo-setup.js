// Joins the members that MONGO_MEMBERS names to a replica set and makes the collectors' user. Does again nothing that
// is done. Run by mongosh; the passwords come from files, never from arguments.
const fs = require("fs");

const secret = (name) => fs.readFileSync(`/run/secrets/${name}`, "utf8").trim();
const members = process.env.MONGO_MEMBERS.split(",");
// The first member knows the root user from its own start.
const direct = new Mongo(`mongodb://${members[0]}/?directConnection=true`);
const admin = direct.getDB("admin");
admin.auth("root", secret("mongo_root_password"));

const status = admin.runCommand({ replSetGetStatus: 1 });
if (status.codeName === "NotYetInitialized") {
  const config = { _id: "rs0", members: members.map((host, _id) => ({ _id, host })) };
  const initiated = admin.runCommand({ replSetInitiate: config });
  if (!initiated.ok) throw new Error(`the set cannot be made: ${initiated.errmsg}`);
}

let primary;
for (let second = 0; !primary; second++) {
  primary = admin.runCommand({ hello: 1 }).primary;
  if (second > 60) throw new Error("no primary after a minute; look at the logs of the members");
  if (!primary) sleep(1000);
}

const set = new Mongo(`mongodb://${members.join(",")}/?replicaSet=rs0`);
const users = set.getDB("admin");
users.auth("root", secret("mongo_root_password"));
const mect = set.getDB("mect");
const roles = [{ role: "readWrite", db: "mect" }, { role: "dbAdmin", db: "mect" }];
const user = { pwd: secret("mongo_password"), roles };
if (mect.getUser("mect")) mect.updateUser("mect", user);
else mect.createUser({ user: "mect", ...user });
print("the set is made");
