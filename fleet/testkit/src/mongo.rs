//! Real MongoDB replica sets.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bson::{Document, doc};
use tempfile::TempDir;

use crate::process::Process;
use crate::{eventually, free_port};

mod wire;

/// Name of every replica set made here.
const SET: &str = "rs0";
/// Where `.ci/install` puts the program, from this package's directory.
const INSTALLED: &str = "../../target/parts/mongod";

/// A replica set of real `mongod`s on 127.0.0.1. Everything of it goes when it is dropped.
pub struct ReplicaSet {
    name: Option<&'static str>,
    nodes: Vec<Node>,
    /// Dropped after the nodes.
    directory: TempDir,
}

struct Node {
    port: u16,
    process: Option<Process>,
}

impl ReplicaSet {
    /// Starts `nodes` (1 or 3) and waits until one of them takes writes.
    ///
    /// # Panics
    /// There is no `mongod`, or it does not come up.
    pub fn start(nodes: usize) -> Self {
        let set = Self::launched(nodes, Some(SET));
        let members: Vec<Document> =
            (0i32..).zip(&set.nodes).map(|(id, node)| doc! { "_id": id, "host": node.address() }).collect();
        let settings = doc! { "electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500 };
        let config = doc! { "_id": SET, "version": 1, "members": members, "settings": settings };
        set.command(0, doc! { "replSetInitiate": config }).unwrap();
        set.primary();
        set
    }

    /// Starts one `mongod` that is part of no set.
    ///
    /// # Panics
    /// There is no `mongod`, or it does not come up.
    pub fn standalone() -> Self {
        Self::launched(1, None)
    }

    fn launched(nodes: usize, name: Option<&'static str>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let nodes = (0..nodes).map(|_| Node { port: free_port(), process: None }).collect();
        let mut set = Self { name, nodes, directory };
        for node in 0..set.nodes.len() {
            set.launch(node);
        }
        eventually("every mongod to listen", || {
            (0..set.nodes.len()).all(|node| set.command(node, doc! { "ping": 1 }).is_ok()).then_some(())
        });
        set
    }

    /// Where a driver finds the set, with the name of a database: `mongodb://…/NAME?replicaSet=rs0`.
    pub fn url(&self, database: &str) -> String {
        let addresses: Vec<_> = self.nodes.iter().map(Node::address).collect();
        let set = self.name.map_or(String::new(), |name| format!("?replicaSet={name}"));
        format!("mongodb://{}/{database}{set}", addresses.join(","))
    }

    /// Number of nodes, running or not.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// False: a set has at least one node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// `127.0.0.1:port` of a node.
    pub fn address(&self, node: usize) -> String {
        self.nodes[node].address()
    }

    /// The node that takes writes; waits until there is one.
    ///
    /// # Panics
    /// None is elected.
    pub fn primary(&self) -> usize {
        eventually("a primary", || {
            (0..self.nodes.len()).find(|node| {
                let hello = self.command(*node, doc! { "hello": 1 });
                hello.is_ok_and(|hello| hello.get_bool("isWritablePrimary").unwrap_or(false))
            })
        })
    }

    /// Waits until every running node is primary or secondary, so that a majority can be had from any of them.
    ///
    /// # Panics
    /// One does not catch up.
    pub fn settle(&self) {
        self.primary();
        for node in (0..self.nodes.len()).filter(|node| self.nodes[*node].process.is_some()) {
            eventually("the nodes to catch up", || {
                let hello = self.command(node, doc! { "hello": 1 }).ok()?;
                let is = |state: &str| hello.get_bool(state).unwrap_or(false);
                (is("isWritablePrimary") || is("secondary")).then_some(())
            });
        }
    }

    /// Ends a node as `kill -9` does.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].process = None;
    }

    /// Starts a node again that was killed, on its old port and data.
    pub fn restart(&mut self, node: usize) {
        self.kill(node);
        self.launch(node);
        eventually("the node to listen", || self.command(node, doc! { "ping": 1 }).ok());
    }

    /// Starts every node again that was killed.
    pub fn revive(&mut self) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].process.is_none() {
                self.restart(node);
            }
        }
    }

    /// Makes a node hang (SIGSTOP): its connections stay open and nothing answers.
    pub fn stop_process(&self, node: usize) {
        self.nodes[node].process.iter().for_each(|process| process.signal("STOP"));
    }

    /// Lets a hanging node go on.
    pub fn continue_process(&self, node: usize) {
        self.nodes[node].process.iter().for_each(|process| process.signal("CONT"));
    }

    /// Sends a command to the `admin` database of one node, unless the command names another by `$db`.
    ///
    /// # Errors
    /// The node does not answer, or refuses.
    pub fn command(&self, node: usize, command: Document) -> Result<Document, String> {
        wire::ask(self.nodes[node].port, command)
    }

    /// Inserts documents, as extended JSON (an array), through the primary.
    ///
    /// # Panics
    /// They are not such, or the primary refuses them.
    pub fn load(&self, database: &str, collection: &str, extended_json: &str) {
        let documents: Vec<Document> = serde_json::from_str(extended_json).unwrap();
        let command = doc! { "insert": collection, "documents": documents, "$db": database };
        let answer = self.command(self.primary(), command).unwrap();
        assert!(!answer.contains_key("writeErrors"), "{answer}");
    }

    /// Every document of a small collection, as the primary has it, by `_id`.
    ///
    /// # Panics
    /// The primary does not answer, or there are more than it gives at once.
    pub fn dump(&self, database: &str, collection: &str) -> Vec<Document> {
        const ALL: i32 = 10_000;
        let command = doc! { "find": collection, "sort": { "_id": 1 }, "batchSize": ALL, "$db": database };
        let answer = self.command(self.primary(), command).unwrap();
        let cursor = answer.get_document("cursor").unwrap();
        assert_eq!(cursor.get_i64("id").unwrap(), 0, "more than {ALL} documents");
        let batch = cursor.get_array("firstBatch").unwrap();
        batch.iter().map(|document| document.as_document().unwrap().clone()).collect()
    }

    /// The directory with the nodes' data and logs.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    fn launch(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        let data = self.directory.path().join(format!("node-{number}"));
        std::fs::create_dir_all(&data).unwrap();
        let mut command = Command::new(mongod());
        if let Some(name) = self.name {
            command.args(["--replSet", name]);
        }
        command.args(["--bind_ip", "127.0.0.1", "--nounixsocket", "--quiet"]);
        command.args(["--port", &node.port.to_string(), "--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "256"]);
        command.args(["--setParameter", "diagnosticDataCollectionEnabled=false"]);
        command.arg("--dbpath").arg(&data).arg("--logappend").arg("--logpath").arg(data.join("log"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        node.process = Some(Process::start_in(&mut command, Some(&data)).unwrap_or_else(|error| {
            panic!("mongod cannot be started ({error}); run .ci/install, or set MONGOD to the program")
        }));
    }
}

impl Node {
    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// The program: `$MONGOD`, or what `.ci/install` brought, or whatever the path has.
fn mongod() -> PathBuf {
    if let Some(given) = std::env::var_os("MONGOD").filter(|path| !path.is_empty()) {
        return given.into();
    }
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join(INSTALLED);
    if installed.exists() { installed } else { "mongod".into() }
}
