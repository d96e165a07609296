//! Interactions as a caller with certain rights, through everything but the socket. Security tests carry the id of their rule.

mod bypass;
mod noninterference;
mod world;
