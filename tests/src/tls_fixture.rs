//! The HTTP fixture behind TLS, with certificates good and bad.

use std::fs::{self, Permissions};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use data_encoding::BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};
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
    /// Signed by the fixture's authority for the host asked for, but for clients only.
    ForClients,
    /// For the host asked for, which it names as its subject only.
    NoNames,
    /// Signed by an intermediate authority, whose certificate is shown as well.
    ViaIntermediate,
    /// The same, but the certificate of the intermediate authority is not shown.
    ChainIncomplete,
    /// The same, shown as it should be, but the intermediate authority expired on 2021-01-01.
    IntermediateExpired,
}

/// An authority that signs certificates for tests.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
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
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// Its certificate in DER form, for who is to trust it.
    pub fn der(&self) -> Vec<u8> {
        self.certificate.der().to_vec()
    }

    /// Its certificate in PEM form.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A server's configuration with a certificate for `host`, or one that is wrong for it.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn server_config(&self, kind: Certificate, host: &str) -> Result<ServerConfig, Box<dyn std::error::Error>> {
        let (chain, key) = self.certificate(kind, host)?;
        let key = PrivateKeyDer::try_from(key.serialize_der())?;
        let provider = Arc::new(crypto::ring::default_provider());
        Ok(ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?)
    }

    /// The files of a server with a certificate for `host`, or one that is wrong for it.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn files(&self, kind: Certificate, host: &str) -> Result<PemFiles, rcgen::Error> {
        let (chain, key) = self.certificate(kind, host)?;
        let certificate = chain.iter().map(|der| pem(der)).collect();
        Ok(PemFiles { authority: self.certificate.pem(), certificate, key: key.serialize_pem() })
    }

    /// What a server shows, its own certificate first, and the key of that.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn certificate(
        &self,
        kind: Certificate,
        host: &str,
    ) -> Result<(Vec<CertificateDer<'static>>, KeyPair), rcgen::Error> {
        let name = if kind == Certificate::WrongHost { "another.example" } else { host };
        let names = if kind == Certificate::NoNames { Vec::new() } else { vec![name.to_owned()] };
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, name);
        let (from, until) = match kind {
            Certificate::Expired => (2020, 2021),
            Certificate::NotYetValid => (2098, 2099),
            _ => (2020, 2099),
        };
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        if kind == Certificate::ForClients {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }
        let key = KeyPair::generate()?;
        let chain = match kind {
            Certificate::SelfSigned => vec![params.self_signed(&key)?.der().clone()],
            Certificate::ViaIntermediate | Certificate::ChainIncomplete | Certificate::IntermediateExpired => {
                let until = if kind == Certificate::IntermediateExpired { 2021 } else { 2099 };
                let (intermediate, shown) = self.intermediate(until)?;
                let mut chain = vec![params.signed_by(&key, &intermediate)?.der().clone()];
                chain.extend((kind != Certificate::ChainIncomplete).then_some(shown));
                chain
            }
            _ => vec![params.signed_by(&key, &self.issuer)?.der().clone()],
        };
        Ok((chain, key))
    }

    /// A certificate by which the client `name` shows who it is, and its key, both in PEM form.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn client_pem(&self, name: &str) -> Result<(String, String), rcgen::Error> {
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &self.issuer)?.pem(), key.serialize_pem()))
    }

    /// An authority that this one vouches for until the beginning of the year `until`.
    fn intermediate(&self, until: i32) -> Result<(Issuer<'static, KeyPair>, CertificateDer<'static>), rcgen::Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Watchpost test intermediate");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.der().clone();
        Ok((Issuer::new(params, key), certificate))
    }
}

/// A certificate as files have it.
fn pem(der: &[u8]) -> String {
    let encoded = BASE64.encode(der);
    let lines: Vec<_> = encoded.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
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
