//! The parts of an archive. Each is compressed by itself, and each has the SHA-256 of its content and of the checksum before it,
//! so that the last one covers all: a byte that has changed, a part that is missing or moved, and an end that is cut off are
//! all noticed.

use super::header::TableHeader;
use crate::{Error, backend::Kind as Column, sql::Value};
use aws_lc_rs::digest::{Context, SHA256};
use std::io::{BufReader, BufWriter, Read, Write};

/// What an archive begins with; the number is that of the form, and counts up when it changes.
const MAGIC: &[u8; 16] = b"tessera archive ";
const FORM: &[u8; 4] = b"001\n";
/// A part ends when it is larger than this: what is kept in memory, and written to a database at a time.
pub(super) const BYTES: usize = 1024 * 1024;
/// The largest part that is read: one row, the largest resource that a server takes being of 128 MiB.
const BYTES_MAX: usize = 512 * 1024 * 1024;
const LEVEL: i32 = 3;

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Header = 1,
    Rows = 2,
    End = 3,
}

/// A part.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) kind: Kind,
    pub(super) payload: Vec<u8>,
    hash: [u8; 32],
}

/// Makes parts, each covering those before it.
#[derive(Default)]
pub(super) struct Chain {
    last: [u8; 32],
}

impl Chain {
    pub(super) fn next(&mut self, kind: Kind, payload: Vec<u8>) -> Chunk {
        let mut context = Context::new(&SHA256);
        context.update(&self.last);
        context.update(&[kind as u8]);
        context.update(&payload);
        self.last.copy_from_slice(context.finish().as_ref());
        Chunk { kind, payload, hash: self.last }
    }
}

impl Chunk {
    /// The checksum of this part and all before it.
    pub(super) fn checksum(&self) -> String {
        self.hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Of which table it has rows, and how many.
    pub(super) fn rows_of(&self) -> Result<(usize, u64), Error> {
        let mut bytes = self.payload.as_slice();
        let table = usize::try_from(number(&mut bytes)?).map_err(|_| damaged("a number is too large"))?;
        Ok((table, number(&mut bytes)?))
    }

    /// Its rows.
    pub(super) fn rows(&self, table: &TableHeader) -> Result<Vec<Vec<Value>>, Error> {
        let mut bytes = self.payload.as_slice();
        let (_, count) = (number(&mut bytes)?, number(&mut bytes)?);
        let mut rows = Vec::new();
        for _ in 0..count {
            let value = |(_, kind): &(String, Column)| value(*kind, &mut bytes);
            rows.push(table.columns.iter().map(value).collect::<Result<_, _>>()?);
        }
        if bytes.is_empty() { Ok(rows) } else { Err(damaged("there is more in a part than its rows")) }
    }
}

/// Rows of a table on their way into a part.
pub(super) struct Rows {
    table: usize,
    count: u64,
    bytes: Vec<u8>,
}

impl Rows {
    pub(super) fn new(table: usize) -> Self {
        Self { table, count: 0, bytes: Vec::new() }
    }

    pub(super) fn add(&mut self, row: &[Value]) -> Result<(), Error> {
        self.count += 1;
        for value in row {
            match value {
                Value::Int(number) => put_number(zigzag(*number), &mut self.bytes),
                Value::Real(number) => self.bytes.extend(number.to_le_bytes()),
                Value::Text(text) => {
                    put_number(text.len() as u64, &mut self.bytes);
                    self.bytes.extend(text.as_bytes());
                }
                Value::Null | Value::Texts(_) => return Err(Error::Backend("a column is empty".to_owned())),
            }
        }
        Ok(())
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= BYTES
    }

    /// What is there as the payload of a part; `None`: nothing. What is added then is for the next part.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        if self.count == 0 {
            return None;
        }
        let mut payload = Vec::with_capacity(self.bytes.len() + 12);
        put_number(self.table as u64, &mut payload);
        put_number(std::mem::take(&mut self.count), &mut payload);
        payload.append(&mut self.bytes);
        Some(payload)
    }
}

/// Small numbers, also negative ones, become small.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

/// Seven bits a byte, the lowest first; all but the last have the eighth.
fn put_number(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push((number & 0x7f) as u8);
}

fn number(bytes: &mut &[u8]) -> Result<u64, Error> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().ok_or_else(|| damaged("a part is cut short"))?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(damaged("a number is too long"))
}

fn take<'b>(bytes: &mut &'b [u8], length: usize) -> Result<&'b [u8], Error> {
    let (taken, rest) = bytes.split_at_checked(length).ok_or_else(|| damaged("a part is cut short"))?;
    *bytes = rest;
    Ok(taken)
}

fn value(kind: Column, bytes: &mut &[u8]) -> Result<Value, Error> {
    Ok(match kind {
        Column::Real => {
            let mut eight = [0; 8];
            eight.copy_from_slice(take(bytes, 8)?);
            Value::Real(f64::from_le_bytes(eight))
        }
        Column::Int => {
            let number = number(bytes)?;
            Value::Int((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
        }
        Column::Text => {
            let length = usize::try_from(number(bytes)?).map_err(|_| damaged("a text is too long"))?;
            Value::Text(std::str::from_utf8(take(bytes, length)?).map_err(|_| damaged("a text is none"))?.to_owned())
        }
    })
}

/// Writes an archive.
pub(super) struct Writer {
    out: BufWriter<Box<dyn Write + Send>>,
}

impl Writer {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Result<Self, Error> {
        let mut out = BufWriter::new(out);
        out.write_all(MAGIC).and_then(|()| out.write_all(FORM)).map_err(unwritten)?;
        Ok(Self { out })
    }

    pub(super) fn write(&mut self, chunk: &Chunk) -> Result<(), Error> {
        let packed = zstd::bulk::compress(&chunk.payload, LEVEL).map_err(unwritten)?;
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(unwritten);
        let (packed_length, plain_length) = (length(&packed)?, length(&chunk.payload)?);
        for bytes in [&[chunk.kind as u8][..], &packed_length.to_le_bytes(), &plain_length.to_le_bytes(), &chunk.hash] {
            self.out.write_all(bytes).map_err(unwritten)?;
        }
        self.out.write_all(&packed).map_err(unwritten)
    }

    pub(super) fn end(mut self) -> Result<(), Error> {
        self.out.flush().map_err(unwritten)
    }
}

/// Reads an archive.
pub(super) struct Reader {
    input: BufReader<Box<dyn Read + Send>>,
    chain: Chain,
    ended: bool,
}

impl Reader {
    pub(super) fn new(input: Box<dyn Read + Send>) -> Result<Self, Error> {
        let mut input = BufReader::new(input);
        let (mut magic, mut form) = ([0; 16], [0; 4]);
        let read = input.read_exact(&mut magic).and_then(|()| input.read_exact(&mut form));
        if read.is_err() || magic != *MAGIC {
            return Err(Error::Archive("this is no archive of Tessera".to_owned()));
        }
        if form != *FORM {
            return Err(Error::Archive("this archive is of a newer version of Tessera".to_owned()));
        }
        Ok(Self { input, chain: Chain::default(), ended: false })
    }

    /// The next part; `None` behind the last one.
    pub(super) fn next(&mut self) -> Result<Option<Chunk>, Error> {
        if self.ended {
            let mut more = [0];
            return match self.input.read(&mut more) {
                Ok(0) => Ok(None),
                _ => Err(damaged("there is something behind its end")),
            };
        }
        let (mut kind, mut packed, mut plain, mut hash) = ([0], [0; 4], [0; 4], [0; 32]);
        for bytes in [&mut kind[..], &mut packed, &mut plain, &mut hash] {
            self.input.read_exact(bytes).map_err(|_| damaged("it ends before its end"))?;
        }
        let kinds = [Kind::Header, Kind::Rows, Kind::End];
        let kind = kinds.into_iter().find(|known| *known as u8 == kind[0]).ok_or_else(|| damaged("a part is none"))?;
        let length = |bytes: [u8; 4]| {
            let length = usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX);
            if length <= BYTES_MAX { Ok(length) } else { Err(damaged("a part is too large")) }
        };
        let (packed, plain) = (length(packed)?, length(plain)?);
        let mut bytes = Vec::new();
        let read = (&mut self.input).take(packed as u64).read_to_end(&mut bytes);
        if read.ok() != Some(packed) {
            return Err(damaged("it ends before its end"));
        }
        let payload = zstd::bulk::decompress(&bytes, plain).map_err(|_| damaged("a part cannot be read"))?;
        let chunk = self.chain.next(kind, payload);
        if chunk.hash != hash || chunk.payload.len() != plain {
            return Err(damaged("a checksum is wrong"));
        }
        self.ended = kind == Kind::End;
        Ok(Some(chunk))
    }
}

/// The archive is not what was written.
pub(super) fn damaged(what: &str) -> Error {
    Error::Archive(format!("the archive is damaged: {what}"))
}

fn unwritten(error: impl std::fmt::Display) -> Error {
    Error::Archive(format!("the archive cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> TableHeader {
        let columns = [("a", Column::Int), ("b", Column::Real), ("c", Column::Text)];
        TableHeader { name: "t".into(), rows: 0, columns: columns.map(|(name, kind)| (name.to_owned(), kind)).to_vec() }
    }

    #[test]
    fn every_value_comes_back_as_it_was() {
        let mut rows = Rows::new(7);
        let mut written = Vec::new();
        for number in [0, 1, -1, 63, -64, 64, i64::MAX, i64::MIN, 1_600_000_000_000_000] {
            for real in [0.0, -0.0, 1.5, f64::MAX, f64::MIN_POSITIVE, f64::INFINITY] {
                for text in ["", "a", "Größe\n", &"x".repeat(300)] {
                    written.push(vec![Value::Int(number), Value::Real(real), Value::Text(text.to_owned())]);
                    rows.add(&written[written.len() - 1]).unwrap();
                }
            }
        }
        let chunk = Chain::default().next(Kind::Rows, rows.take().unwrap());
        assert_eq!(chunk.rows_of().unwrap(), (7, written.len() as u64));
        let read = chunk.rows(&table()).unwrap();
        // Also the sign of zero, which an equation does not see.
        assert_eq!(format!("{read:?}"), format!("{written:?}"));
        assert!(rows.take().is_none());
    }
}
