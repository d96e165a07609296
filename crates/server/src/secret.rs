//! The server's secret: 32 random bytes in a file, which keys hang on that lie in the database. The one place that reads it.

use crate::error::Error;
use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// The secret in that file; if there is none, a new one, which only its owner may read (HTTP-12).
///
/// # Errors
/// [`Error::Usage`] if the file holds none, or can be neither read nor made.
pub(crate) fn read_or_make(path: &Path) -> Result<[u8; 32], Error> {
    if let Some(secret) = read(path)? {
        return Ok(secret);
    }
    let unusable = |error: io::Error| Error::Usage(format!("the secret key file {}: {error}", path.display()));
    make(path).map_err(unusable)?.map_or_else(
        // Another process was first.
        || fs::read_to_string(path).map_err(unusable).and_then(|text| parse(path, &text)),
        Ok,
    )
}

/// The secret in that file; `None`: there is no such file.
///
/// # Errors
/// [`Error::Usage`] if the file holds none, or cannot be read.
pub(crate) fn read(path: &Path) -> Result<Option<[u8; 32]>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => parse(path, &text).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::Usage(format!("the secret key file {}: {error}", path.display()))),
    }
}

fn parse(path: &Path, text: &str) -> Result<[u8; 32], Error> {
    let text = text.trim();
    let byte = |n: usize| text.get(2 * n..2 * n + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let bytes: Option<Vec<u8>> = (0..32).map(byte).collect();
    bytes
        .filter(|_| text.len() == 64)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| Error::Usage(format!("the secret key file {}: expected 64 hexadecimal digits", path.display())))
}

/// Writes a new file that only its owner may read (HTTP-12).
///
/// # Errors
/// Those of the file system; also if there is such a file.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Writes a new secret under another name first, so that nobody reads half of one. `None`: there is one already.
fn make(path: &Path) -> io::Result<Option<[u8; 32]>> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let mut secret = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut secret)?;
    let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    // A link, unlike a renaming, takes nothing away that is there.
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Ok(()) => Ok(Some(secret)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn http_12_a_secret_is_made_once_and_for_its_owner_alone() {
        let folder = std::env::temp_dir().join(format!("tessera-secret-{}", std::process::id()));
        let path = folder.join("secret.key");
        let made = read_or_make(&path).unwrap();
        assert_ne!(made, [0; 32]);
        assert_eq!(read_or_make(&path).unwrap(), made);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        for text in ["", "00", &"g".repeat(64), &"0".repeat(66)] {
            fs::write(&path, text).unwrap();
            assert!(read_or_make(&path).is_err(), "{text}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
