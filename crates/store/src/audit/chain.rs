//! The chain (AUD-5): each record's hash covers the record and the hash before, so that nobody changes, removes or moves one
//! without changing all that follow; and what a chain's last hash was is signed again and again.
//!
//! Every writer has a chain of its own, so that none waits for another: a process has one for what it appends to its segments,
//! and one for each connection that writes. The low byte of a chain's number says which, the rest which process.

use crate::sql::{Row, Sql};
use aws_lc_rs::digest::{Context, SHA256};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

/// The last record of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) chain: i64,
    /// 0: there is no record yet.
    pub(crate) seq: i64,
    pub(crate) hash: Hash,
}

/// A SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hash([u8; 32]);

impl Head {
    /// Of a chain without records.
    pub(crate) fn start(chain: i64) -> Self {
        Self { chain, seq: 0, hash: Hash([0; 32]) }
    }

    /// The statement that reads it.
    pub(crate) fn select(chain: i64) -> Sql {
        let mut sql = Sql::new("SELECT seq, hash FROM audit WHERE chain = ");
        sql.bind(chain).push(" ORDER BY seq DESC LIMIT 1");
        sql
    }

    /// The head that [`Head::select`] has found. A hash that is none is as wrong as any other: the next record's will tell.
    pub(crate) fn of_rows(chain: i64, rows: &[Row]) -> Self {
        rows.first().map_or_else(
            || Self::start(chain),
            |row| Self { chain, seq: row.int(0), hash: Hash::parse(row.text(1)).unwrap_or(Hash([0; 32])) },
        )
    }

    /// Goes on to the record that follows, and says its hash.
    pub(super) fn go_on(&mut self, canonical: &str) -> String {
        self.seq += 1;
        self.hash = self.hash.then(canonical);
        self.hash.text()
    }
}

impl Hash {
    /// The hash of the record that follows.
    pub(super) fn then(&self, canonical: &str) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&self.0);
        context.update(canonical.as_bytes());
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        Self(hash)
    }

    /// As it is written.
    pub(super) fn text(&self) -> String {
        STANDARD_NO_PAD.encode(self.0)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD_NO_PAD.decode(text).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }
}
