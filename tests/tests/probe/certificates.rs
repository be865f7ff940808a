//! Certificates that are wrong in ways of their own, made for each test.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair,
    NameConstraints,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};
use watchpost_tests::openssl_server::Shown;

/// Somebody who has a certificate and may sign others.
pub struct Signer {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    key: String,
}

impl Signer {
    /// One who signs for itself.
    pub fn root(name: &str) -> Self {
        let (params, key) = (authority(name), KeyPair::generate().unwrap());
        let pem = params.self_signed(&key).unwrap().pem();
        Self { key: key.serialize_pem(), issuer: Issuer::new(params, key), pem }
    }

    /// One for whom this one signs, as `amend` has it.
    pub fn signs(&self, name: &str, amend: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = authority(name);
        amend(&mut params);
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Self { key: key.serialize_pem(), issuer: Issuer::new(params, key), pem }
    }

    /// Its certificate, for who is to trust it.
    pub fn der(&self) -> Vec<u8> {
        CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap().to_vec()
    }

    /// Its certificate in PEM form.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// What a server shows whose certificate is this one's own.
    pub fn shown(&self) -> Shown {
        Shown { chain: self.pem.clone(), key: self.key.clone() }
    }

    /// What a server at `host` shows, and the certificates of `others` with it.
    pub fn server(&self, host: &str, others: &[&Self], amend: impl FnOnce(&mut CertificateParams)) -> Shown {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, host);
        amend(&mut params);
        let key = KeyPair::generate().unwrap();
        let mut chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        others.iter().for_each(|other| chain.push_str(&other.pem));
        Shown { chain, key: key.serialize_pem() }
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// What makes a certificate one for clients.
pub fn for_clients(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
}

/// What keeps an authority from signing for names outside `domain`.
pub fn only_for(domain: &str) -> impl FnOnce(&mut CertificateParams) {
    let permitted_subtrees = vec![GeneralSubtree::DnsName(domain.to_owned())];
    move |params| params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() })
}

/// A server's configuration that shows `shown`.
pub fn config(shown: &Shown) -> ServerConfig {
    let chain = CertificateDer::pem_slice_iter(shown.chain.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(shown.key.as_bytes()).unwrap();
    ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}
