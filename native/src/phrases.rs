//! Contexts written shorter: `resolver.core.phrases`, whose list of phrases this one is given.

use crate::pack::Malformed;
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
const HEAD: usize = 3;
/// Places of the table by which they are found: so many that few phrases share one.
const SLOTS: usize = 512;

/// The phrases, and by the hash of their first letters those to compare, the longest first.
pub struct Phrases {
    texts: Vec<Vec<u8>>,
    slots: Vec<Vec<u8>>,
}

impl Phrases {
    /// At most 127 phrases of at least three letters.
    pub fn new(texts: Vec<String>) -> Phrases {
        let texts: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
        let mut slots = vec![Vec::new(); SLOTS];
        let mut longest_first: Vec<usize> = (0..texts.len()).collect();
        longest_first.sort_by_key(|&place| std::cmp::Reverse(texts[place].len()));
        for place in longest_first {
            slots[slot(&texts[place])].push(place as u8);
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
        if rest.len() < HEAD {
            return None;
        }
        let here = |&&place: &&u8| rest.starts_with(&self.texts[usize::from(place)]);
        self.slots[slot(rest)].iter().find(here).copied()
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

/// The place in the table of what begins with three letters.
fn slot(text: &[u8]) -> usize {
    let head = u32::from(text[0]) | u32::from(text[1]) << 8 | u32::from(text[2]) << 16;
    (head.wrapping_mul(0x9e37_79b1) >> 23) as usize % SLOTS
}
