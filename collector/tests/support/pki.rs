//! Certificates for the tests, made by openssl.

use std::path::Path;
use std::process::{Command, Output};

/// Certificates by name, in one directory.
pub struct Authority<'a>(pub &'a Path);

impl Authority<'_> {
    fn openssl(&self, arguments: &str) -> Output {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(self.0).output();
        let output = output.unwrap_or_else(|_| panic!("openssl is missing: apt-get install openssl"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// A new key, and its certificate signed by itself.
    pub fn root(&self, name: &str) {
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        self.openssl(&format!("req -x509 {key} -keyout {name}.key -out {name}.pem -days 30 -subj /CN={name}"));
    }

    /// A new key, and its certificate for `subject` signed by `ca`, good for `days` from now on.
    pub fn issue(&self, name: &str, ca: &str, subject: &str, days: i32) {
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        self.openssl(&format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        std::fs::write(self.0.join("names"), format!("subjectAltName={subject}\n")).unwrap();
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -extfile names -days {days} -out {name}.pem"
        ));
    }

    /// The pin of a certificate's key.
    pub fn pin(&self, name: &str) -> String {
        let script = format!(
            "openssl x509 -in {name}.pem -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64"
        );
        let output = Command::new("sh").args(["-c", &script]).current_dir(self.0).output().unwrap();
        format!("sha256/{}", String::from_utf8(output.stdout).unwrap().trim())
    }
}
