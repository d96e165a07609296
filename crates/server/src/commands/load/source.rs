//! Files → pieces that are loaded whole: a bundle, or some lines of NDJSON.

use crate::error::Error;
use flate2::read::MultiGzDecoder;
use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read, Take},
    path::{Path, PathBuf},
};

/// Lines of NDJSON that are loaded together.
const LINES: usize = 100;
/// Longest line of NDJSON (HTTP-2).
const LINE_BYTES_MAX: u64 = 5 * 1024 * 1024;
/// Largest bundle (HTTP-2).
const BUNDLE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// A file to be loaded.
pub(super) struct Source {
    path: PathBuf,
    pub(super) bytes: u64,
}

/// A bundle to be posted.
pub(super) struct Piece {
    /// For messages.
    pub(super) name: String,
    /// A transaction bundle.
    pub(super) body: Vec<u8>,
    /// How much of its file it is, for the progress bar.
    pub(super) size: u64,
}

/// The files under the paths, folders opened, in order of their names.
pub(super) fn files(paths: &[PathBuf]) -> Result<Vec<Source>, Error> {
    let mut found = Vec::new();
    for path in paths {
        collect(path, true, &mut found)?;
    }
    if found.is_empty() {
        return Err(Error::Usage("there is no .json, .ndjson or .gz file under these paths".to_owned()));
    }
    Ok(found)
}

fn collect(path: &Path, named: bool, found: &mut Vec<Source>) -> Result<(), Error> {
    let with_path = |error: std::io::Error| Error::Usage(format!("{}: {error}", path.display()));
    let metadata = std::fs::metadata(path).map_err(with_path)?;
    if metadata.is_dir() {
        let mut inside: Vec<PathBuf> = std::fs::read_dir(path)
            .map_err(with_path)?
            .map(|entry| entry.map(|e| e.path()))
            .collect::<Result<_, _>>()?;
        inside.sort_unstable();
        return inside.iter().try_for_each(|path| collect(path, false, found));
    }
    if named || kind(path).is_some() {
        found.push(Source { path: path.to_owned(), bytes: metadata.len() });
    }
    Ok(())
}

#[derive(PartialEq)]
enum Kind {
    Json,
    Ndjson,
}

fn kind(path: &Path) -> Option<Kind> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".gz").unwrap_or(name);
    match name.rsplit_once('.')?.1 {
        "json" => Some(Kind::Json),
        "ndjson" | "jsonl" => Some(Kind::Ndjson),
        _ => None,
    }
}

impl Source {
    /// The pieces of the file, read as they are asked for.
    pub(super) fn pieces(&self) -> Box<dyn Iterator<Item = Result<Piece, String>> + '_> {
        let name = self.path.display().to_string();
        let reader = match self.open() {
            Ok(reader) => reader,
            Err(error) => return Box::new(std::iter::once(Err(format!("{name}: {error}")))),
        };
        match kind(&self.path) {
            Some(Kind::Ndjson) => {
                Box::new(Lines { name, reader: BufReader::new(reader), line: 0, size: self.bytes, ended: false })
            }
            _ => Box::new(std::iter::once(whole(reader.take(BUNDLE_BYTES_MAX + 1), name, self.bytes))),
        }
    }

    fn open(&self) -> std::io::Result<Box<dyn Read>> {
        let file = File::open(&self.path)?;
        let gzip = self.path.extension().is_some_and(|extension| extension == "gz");
        Ok(if gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
    }
}

fn whole(mut reader: Take<Box<dyn Read>>, name: String, size: u64) -> Result<Piece, String> {
    let mut body = Vec::new();
    match reader.read_to_end(&mut body) {
        Err(error) => Err(format!("{name}: {error}")),
        Ok(_) if body.len() as u64 > BUNDLE_BYTES_MAX => {
            Err(format!("{name}: larger than {} MiB", BUNDLE_BYTES_MAX >> 20))
        }
        Ok(_) => Ok(Piece { name, body, size }),
    }
}

/// Groups of lines, each a transaction of updates: the resources keep their ids.
struct Lines {
    name: String,
    reader: BufReader<Box<dyn Read>>,
    line: usize,
    size: u64,
    ended: bool,
}

impl Iterator for Lines {
    type Item = Result<Piece, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let first = self.line + 1;
        let mut body = String::from(r#"{"resourceType":"Bundle","type":"transaction""#);
        let mut count = 0;
        while count < LINES {
            let mut line = String::new();
            // With its end, which may be two bytes and does not count.
            match (&mut self.reader).take(LINE_BYTES_MAX + 2).read_line(&mut line) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(_) => self.line += 1,
                Err(error) => {
                    self.line += 1;
                    return self.fail(&error.to_string());
                }
            }
            let text = line.trim();
            if text.len() as u64 > LINE_BYTES_MAX {
                return self.fail("longer than 5 MiB");
            }
            if text.is_empty() {
                continue;
            }
            let Some(url) = url_of(text) else { return self.fail("no resource with a type and an id") };
            body.push_str(if count > 0 { "," } else { ",\"entry\":[" });
            body.push_str(&format!(r#"{{"resource":{text},"request":{{"method":"PUT","url":"{url}"}}}}"#));
            count += 1;
        }
        if count == 0 {
            return None;
        }
        body.push_str("]}");
        let size = if self.ended { self.size } else { 0 };
        Some(Ok(Piece { name: format!("{} lines {first}–{}", self.name, self.line), body: body.into_bytes(), size }))
    }
}

impl Lines {
    /// What follows a line that cannot be read is not loaded.
    fn fail(&mut self, reason: &str) -> Option<Result<Piece, String>> {
        self.ended = true;
        Some(Err(format!("{} line {}: {reason}", self.name, self.line)))
    }
}

fn url_of(line: &str) -> Option<String> {
    let resource = tessera_model::Resource::parse(line, tessera_model::Definitions::r4()).ok()?;
    let id = resource.id().and_then(|id| tessera_model::Id::parse(&id))?;
    Some(format!("{}/{id}", resource.resource_type()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A patient on a line of so many bytes.
    fn patient(id: &str, bytes: usize) -> String {
        let (start, end) = (format!(r#"{{"resourceType":"Patient","id":"{id}","implicitRules":"urn:"#), "\"}");
        format!("{start}{}{end}", "x".repeat(bytes - start.len() - end.len()))
    }

    #[test]
    fn http_2_a_line_of_ndjson_has_5_mib_and_not_a_byte_more() {
        let path = std::env::temp_dir().join(format!("tessera-lines-{}.ndjson", std::process::id()));
        let most = usize::try_from(LINE_BYTES_MAX).unwrap();
        let pieces = |lines: &str| {
            std::fs::write(&path, lines).unwrap();
            let source = Source { path: path.clone(), bytes: lines.len() as u64 };
            source.pieces().map(|piece| piece.map(|piece| piece.body.len() > most)).collect::<Vec<_>>()
        };
        let line = patient("a", most);
        for end in ["\n", "\r\n", ""] {
            assert_eq!(pieces(&format!("{line}{end}")), [Ok(true)], "{end:?}");
        }
        let long = patient("b", most + 1);
        let wrong = pieces(&format!("{}\n{long}\n{line}\n", patient("c", 100)));
        let [Err(wrong)] = &wrong[..] else { panic!("{wrong:?}") };
        assert!(wrong.ends_with("line 2: longer than 5 MiB"), "{wrong}");
        std::fs::remove_file(path).unwrap();
    }
}
