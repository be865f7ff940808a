//! The HTTP fixture behind TLS, with certificates good and bad.

use std::fs::{self, Permissions};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};

use crate::http_fixture::Handler;
use crate::server_process::hand_over;
use crate::tcp_fixture::{Counts, Server};

/// What kind of certificate a server shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// Signed by the fixture's authority, for the host asked for, valid from 2020 to 2099.
    Valid,
    /// The same, but it expired on 2021-01-01.
    Expired,
    /// The same, but it is valid from 2098 only.
    NotYetValid,
    /// The same, but for `another.example`.
    WrongHost,
    /// For the host asked for, but signed by itself.
    SelfSigned,
}

/// An authority that signs certificates for tests.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl Authority {
    /// A new authority. Nobody trusts it who is not told to.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Watchpost test authority");
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let pem = certificate.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate: certificate.der().clone(), pem })
    }

    /// Its certificate in DER form, for who is to trust it.
    pub fn der(&self) -> Vec<u8> {
        self.certificate.to_vec()
    }

    /// A server's configuration with a certificate for `host`, or one that is wrong for it.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn server_config(&self, kind: Certificate, host: &str) -> Result<ServerConfig, Box<dyn std::error::Error>> {
        let (certificate, key) = self.certificate(kind, host)?;
        let key = PrivateKeyDer::try_from(key.serialize_der())?;
        let provider = Arc::new(crypto::ring::default_provider());
        Ok(ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?)
    }

    /// The files of a server with a certificate for `host`, or one that is wrong for it.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn files(&self, kind: Certificate, host: &str) -> Result<PemFiles, rcgen::Error> {
        let (certificate, key) = self.certificate(kind, host)?;
        Ok(PemFiles { authority: self.pem.clone(), certificate: certificate.pem(), key: key.serialize_pem() })
    }

    fn certificate(&self, kind: Certificate, host: &str) -> Result<(rcgen::Certificate, KeyPair), rcgen::Error> {
        let name = if kind == Certificate::WrongHost { "another.example" } else { host };
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        let (from, until) = match kind {
            Certificate::Expired => (2020, 2021),
            Certificate::NotYetValid => (2098, 2099),
            _ => (2020, 2099),
        };
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate()?;
        let certificate = match kind {
            Certificate::SelfSigned => params.self_signed(&key)?,
            _ => params.signed_by(&key, &self.issuer)?,
        };
        Ok((certificate, key))
    }
}

/// What a server process reads its certificate from.
#[derive(Debug)]
pub struct PemFiles {
    authority: String,
    certificate: String,
    key: String,
}

impl PemFiles {
    /// The name of the file with the authority's certificate.
    pub const AUTHORITY: &'static str = "authority.pem";
    /// The name of the file with the server's certificate.
    pub const CERTIFICATE: &'static str = "certificate.pem";
    /// The name of the file with the server's key.
    pub const KEY: &'static str = "key.pem";

    /// Writes the files into the folder of a server, which only it can read.
    ///
    /// # Panics
    /// When they cannot be written.
    #[expect(clippy::expect_used, reason = "a test whose files cannot be written has failed")]
    pub fn write_to(&self, folder: &Path) {
        for (name, pem) in
            [(Self::AUTHORITY, &self.authority), (Self::CERTIFICATE, &self.certificate), (Self::KEY, &self.key)]
        {
            let file = folder.join(name);
            fs::write(&file, pem).expect("a file for the server");
            fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("the file's mode");
            hand_over(&file);
        }
    }
}

/// An HTTPS server with the paths of [`crate::http_fixture::HttpFixture`].
#[derive(Debug)]
pub struct TlsFixture(Server);

impl TlsFixture {
    /// Starts a server called `name` on `ip` that shows a certificate of `authority`.
    ///
    /// # Errors
    /// When the address cannot be bound or no certificate can be made.
    pub async fn start(
        ip: IpAddr,
        name: &str,
        authority: &Authority,
        kind: Certificate,
        host: &str,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        Ok(Self::start_with(ip, name, authority.server_config(kind, host)?).await?)
    }

    /// Starts a server called `name` on `ip` with a configuration of the caller's own.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start_with(ip: IpAddr, name: &str, config: ServerConfig) -> io::Result<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let handler = Arc::new(Handler::new(name));
        let server = Server::start(ip, move |stream| {
            let (acceptor, handler) = (acceptor.clone(), Arc::clone(&handler));
            async move {
                // A client that does not like the certificate goes away; that is what it is for.
                if let Ok(stream) = acceptor.accept(stream).await {
                    handler.handle(stream).await;
                }
            }
        })
        .await?;
        Ok(Self(server))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Its connections so far.
    pub fn counts(&self) -> &Arc<Counts> {
        self.0.counts()
    }
}
