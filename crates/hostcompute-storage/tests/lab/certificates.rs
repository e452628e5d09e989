//! Certificates of a test's own, by openssl: an authority that nobody knows, and a server that it vouches for.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// An authority, and what a server needs to prove that it vouches for it.
pub struct Authority {
    /// What clients trust.
    pub certificate: String,
    /// For 127.0.0.1 and 127.0.0.2.
    pub server: Arc<ServerConfig>,
}

impl Authority {
    pub fn new(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let run = |words: &[&str]| {
            let output = Command::new("openssl").args(words).current_dir(folder).output();
            let output = output.expect("openssl of Debian's package openssl");
            assert!(output.status.success(), "{words:?}: {output:?}");
        };
        let authority = ["req", "-x509", "-days", "2", "-subj", "/CN=Authority of a test"];
        run(&[&authority[..], &key, &["-keyout", "ca.key", "-out", "ca.pem"]].concat());
        let request = ["req", "-subj", "/CN=registry of a test"];
        run(&[&request[..], &key, &["-keyout", "server.key", "-out", "server.csr"]].concat());
        let names = "subjectAltName=IP:127.0.0.1,IP:127.0.0.2\nbasicConstraints=CA:FALSE\n";
        std::fs::write(folder.join("names"), names).unwrap();
        let sign = ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key"];
        let more = ["-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "server.pem"];
        run(&[&sign[..], &more].concat());
        let certificate = CertificateDer::from_pem_file(folder.join("server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let certificate = std::fs::read_to_string(folder.join("ca.pem")).unwrap();
        Self { certificate, server: Arc::new(server) }
    }
}
