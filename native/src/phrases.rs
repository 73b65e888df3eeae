//! Contexts written shorter: `resolver.core.phrases`, whose list of phrases this one is given.

use crate::pack::Malformed;
use pyo3::prelude::*;
use std::io::Write;
use std::net::Ipv4Addr;

/// The code of the first phrase.
const CODE: u8 = 0x80;
/// What stands before the length and the bytes of what is neither a plain letter nor a phrase.
const RUN: u8 = 0x01;
const RUN_MAX: usize = 255;
/// What stands before the four numbers of an IPv4 address, behind the first phrase.
const ADDRESS: u8 = 0x02;
const ADDRESS_BYTES: usize = 4;
const ADDRESS_LETTERS_MAX: usize = 15;
const PLAIN_FROM: u8 = 0x20;
/// Letters by which phrases that may begin somewhere are found; none is shorter.
const FIRST: usize = 3;
/// Places of the table by which they are found.
const SLOTS: usize = 512;
/// Letters that are compared at once: what begins with a quote and a comma, many phrases do.
const HEAD: usize = 8;

/// The phrases, and by the hash of their first letters those to compare, the longest first.
pub struct Phrases {
    texts: Vec<Vec<u8>>,
    slots: Vec<Vec<Candidate>>,
}

/// A phrase by its number, and its first letters; `mask` covers as many as it has.
struct Candidate {
    place: u8,
    head: u64,
    mask: u64,
}

impl Phrases {
    /// Those of the Python form.
    pub fn known(py: Python) -> PyResult<Phrases> {
        let phrases = py.import("resolver.core.phrases")?.getattr("PHRASES")?;
        Ok(Phrases::new(phrases.extract()?))
    }

    /// At most 127 phrases of at least three letters.
    pub fn new(texts: Vec<String>) -> Phrases {
        let texts: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
        let mut slots: Vec<Vec<Candidate>> = (0..SLOTS).map(|_| Vec::new()).collect();
        let mut longest_first: Vec<usize> = (0..texts.len()).collect();
        longest_first.sort_by_key(|&place| std::cmp::Reverse(texts[place].len()));
        for place in longest_first {
            let head = head_of(&texts[place]);
            let covered = 8 * texts[place].len().min(HEAD) as u32;
            let mask = u64::MAX >> (u64::BITS - covered);
            slots[slot(head)].push(Candidate { place: place as u8, head, mask });
        }
        Phrases { texts, slots }
    }

    /// Appends the short form of a context: at every place the longest phrase that begins there.
    pub fn shorten(&self, text: &[u8], out: &mut Vec<u8>) {
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            if !is_plain(rest[0]) {
                let run = rest.iter().take(RUN_MAX).take_while(|&&byte| !is_plain(byte)).count();
                out.extend([RUN, run as u8]);
                out.extend_from_slice(&rest[..run]);
                at += run;
            } else if let Some(place) = self.phrase_at(rest) {
                out.push(CODE + place);
                at += self.texts[usize::from(place)].len();
                if place == 0 {
                    at += shorten_address(&text[at..], out);
                }
            } else {
                out.push(rest[0]);
                at += 1;
            }
        }
    }

    fn phrase_at(&self, rest: &[u8]) -> Option<u8> {
        let head = head_of(rest);
        let here = |one: &&Candidate| {
            (head ^ one.head) & one.mask == 0
                && rest.starts_with(&self.texts[usize::from(one.place)])
        };
        self.slots[slot(head)].iter().find(here).map(|one| one.place)
    }

    /// Refuses what is no short form of a text.
    pub fn check(&self, short: &[u8]) -> Result<(), Malformed> {
        let known = PLAIN_FROM..=CODE - 1 + self.texts.len() as u8;
        let mut at = 0;
        let mut is_ascii = true;
        while let Some(&byte) = short.get(at) {
            at += 1;
            if known.contains(&byte) {
                continue;
            }
            let end = match byte {
                ADDRESS => at + ADDRESS_BYTES,
                RUN => at + 1 + usize::from(*short.get(at).ok_or(Malformed)?),
                _ => return Err(Malformed),
            };
            let run = short.get(at..end).ok_or(Malformed)?;
            is_ascii = is_ascii && (byte == ADDRESS || run[1..].is_ascii());
            at = end;
        }
        if is_ascii {
            return Ok(());
        }
        let mut text = Vec::with_capacity(4 * short.len());
        self.lengthen(short, &mut text)?;
        std::str::from_utf8(&text).map_or(Err(Malformed), |_| Ok(()))
    }

    /// Appends the context of which this is the short form.
    pub fn lengthen(&self, short: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        let mut at = 0;
        while let Some(&byte) = short.get(at) {
            at += 1;
            match byte {
                PLAIN_FROM..CODE => out.push(byte),
                CODE.. => {
                    let text = self.texts.get(usize::from(byte - CODE)).ok_or(Malformed)?;
                    out.extend_from_slice(text);
                }
                ADDRESS => {
                    let end = at + ADDRESS_BYTES;
                    let address = short.get(at..end).ok_or(Malformed)?;
                    let [a, b, c, d] = address else { return Err(Malformed) };
                    let _ = write!(out, "{a}.{b}.{c}.{d}");
                    at = end;
                }
                RUN => {
                    let start = at + 1;
                    let len = usize::from(*short.get(at).ok_or(Malformed)?);
                    out.extend_from_slice(short.get(start..start + len).ok_or(Malformed)?);
                    at = start + len;
                }
                _ => return Err(Malformed),
            }
        }
        Ok(())
    }
}

/// Appends the four numbers of an IPv4 address that is all of a text; returns its length, or nought.
fn shorten_address(rest: &[u8], out: &mut Vec<u8>) -> usize {
    let end = rest.iter().take(ADDRESS_LETTERS_MAX + 1).position(|&byte| byte == b'"');
    let text = end.and_then(|end| std::str::from_utf8(&rest[..end]).ok());
    match text.and_then(|text| text.parse::<Ipv4Addr>().ok()) {
        Some(address) => {
            out.push(ADDRESS);
            out.extend(address.octets());
            text.map_or(0, str::len)
        }
        None => 0,
    }
}

fn is_plain(byte: u8) -> bool {
    (PLAIN_FROM..CODE).contains(&byte)
}

/// The first letters of a text as a number, the first one lowest; behind its end are noughts.
fn head_of(text: &[u8]) -> u64 {
    let whole = text.first_chunk::<HEAD>().copied().unwrap_or_else(|| {
        let mut padded = [0; HEAD];
        padded[..text.len()].copy_from_slice(text);
        padded
    });
    u64::from_le_bytes(whole)
}

/// The place in the table of what begins with so many letters as `FIRST` says.
fn slot(head: u64) -> usize {
    let first = head as u32 & (u32::MAX >> (32 - 8 * FIRST));
    (first.wrapping_mul(0x9e37_79b1) >> 23) as usize % SLOTS
}
