//! TLS in process (HTTP-1): 1.2 and 1.3.

use crate::error::Error;
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
    server::TlsStream,
};

/// How long a handshake may take (HTTP-3).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A certificate, which may be exchanged while connections are accepted.
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    acceptor: RwLock<TlsAcceptor>,
}

impl Tls {
    /// The certificate and its chain, and its private key, from files in PEM.
    ///
    /// # Errors
    /// [`Error::Usage`] if they cannot be read, or do not belong together.
    pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let acceptor = RwLock::new(acceptor(certificate, key)?);
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), acceptor })
    }

    /// Reads the files again. Connections that are open stay as they are.
    ///
    /// # Errors
    /// As [`Tls::load`]; then the certificate stays what it was.
    pub(crate) fn reload(&self) -> Result<(), Error> {
        let acceptor = acceptor(&self.certificate, &self.key)?;
        *self.acceptor.write().unwrap_or_else(PoisonError::into_inner) = acceptor;
        Ok(())
    }

    /// The handshake.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.accept_within(HANDSHAKE_TIMEOUT, stream).await
    }

    async fn accept_within(&self, time: Duration, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = self.acceptor.read().unwrap_or_else(PoisonError::into_inner).clone();
        tokio::time::timeout(time, acceptor.accept(stream)).await?
    }
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Error> {
    let unusable = |path: &Path, error: &dyn std::fmt::Display| Error::Usage(format!("{}: {error}", path.display()));
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| unusable(certificate, &error))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret));
    let mut config = config.map_err(|error| unusable(certificate, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, net::SocketAddr};
    use tokio::net::TcpListener;
    use tokio_rustls::{
        TlsConnector,
        rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion, version},
    };

    // Made for this test, and trusted by nobody else.
    const ONE: [&str; 2] = [include_str!("testdata/one.pem"), include_str!("testdata/one.key.pem")];
    const TWO: [&str; 2] = [include_str!("testdata/two.pem"), include_str!("testdata/two.key.pem")];

    /// The version that is spoken with somebody who trusts that certificate alone; `None`: none is.
    async fn spoken(tls: &Tls, trusted: &str, version: &'static SupportedProtocolVersion) -> Option<ProtocolVersion> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(client));
        let asking = async {
            let stream = TcpStream::connect(address).await.unwrap();
            connector.connect("localhost".try_into().unwrap(), stream).await.ok()
        };
        let answering = async { tls.accept(listener.accept().await.unwrap().0).await };
        let (asked, _answered) = tokio::join!(asking, answering);
        asked.and_then(|stream| stream.get_ref().1.protocol_version())
    }

    #[tokio::test]
    async fn http_1_tls_is_spoken_and_its_certificate_can_be_exchanged() {
        let folder = std::env::temp_dir().join(format!("tessera-tls-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let files = ["certificate.pem", "key.pem"].map(|name| folder.join(name));
        let write = |pair: [&str; 2]| pair.iter().zip(&files).for_each(|(text, file)| fs::write(file, text).unwrap());
        write(ONE);
        let tls = Tls::load(&files[0], &files[1]).unwrap();
        assert_eq!(spoken(&tls, ONE[0], &version::TLS13).await, Some(ProtocolVersion::TLSv1_3));
        assert_eq!(spoken(&tls, ONE[0], &version::TLS12).await, Some(ProtocolVersion::TLSv1_2));
        assert_eq!(spoken(&tls, TWO[0], &version::TLS13).await, None);
        write(TWO);
        tls.reload().unwrap();
        assert!(spoken(&tls, TWO[0], &version::TLS13).await.is_some());
        // What does not belong together is not taken over.
        write([ONE[0], TWO[1]]);
        assert!(tls.reload().is_err() && Tls::load(&files[0], &files[1]).is_err());
        assert!(spoken(&tls, TWO[0], &version::TLS13).await.is_some());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn http_3_a_handshake_has_its_time() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/listener/testdata"));
        let tls = Tls::load(&folder.join("one.pem"), &folder.join("one.key.pem")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // One that connects and says nothing.
        let _silent = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let accepting = tls.accept_within(Duration::from_millis(50), listener.accept().await.unwrap().0);
        let ended = tokio::time::timeout(Duration::from_secs(60), accepting).await.unwrap();
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
