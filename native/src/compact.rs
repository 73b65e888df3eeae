//! The parts of a state, small: `resolver.core.packing` and `resolver.core.unpacking` without the
//! records.

use crate::pack::Malformed;
use crate::records::{SIGN, STAMP_NUMBERS};

/// Added to the length of a name that has no number.
pub const OTHER: u64 = 32;
/// The number of the marks that say on which device something was stated.
pub const DEVICE_MARK: u64 = 0;
/// Said of a stamp: received when it happened; of the topic of the stamp before.
pub const AT_ONCE: u64 = 1;
pub const SAME_TOPIC: u64 = 2;
/// Said of a statement: without a restriction.
pub const UNRESTRICTED: u64 = 4;
/// From where the first instant is counted.
const TIME_FROM_US: i64 = 1_893_456_000_000_000;
pub const INCARNATION_BYTES: usize = 6;
/// Kinds of identifiers by their number; nought: the text as it is.
const KINDS: [&[u8]; 4] = [b"", b"user:", b"email:", b"anon:"];
const UUID_LENGTH: usize = 36;
const UUID_BYTES: u64 = 16;
/// Where a UUID's text has dashes.
const DASHES: [usize; 4] = [8, 13, 18, 23];
const HEXADECIMAL: &[u8; 16] = b"0123456789abcdef";

/// Seven bits a byte, the lowest first; a byte from 0x80 on is not the last.
pub fn uint(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Signs go last: 0, -1, 1, -2 are 0, 1, 2, 3.
pub fn sint(out: &mut Vec<u8>, number: i64) {
    uint(out, (number << 1 ^ number >> 63) as u64);
}

/// Bytes behind their length.
pub fn run(out: &mut Vec<u8>, run: &[u8]) {
    uint(out, run.len() as u64);
    out.extend_from_slice(run);
}

/// The length times four and the kind's number; no length: sixteen bytes of a UUID.
pub fn identifier(out: &mut Vec<u8>, text: &[u8]) {
    for (number, kind) in KINDS.iter().enumerate().skip(1) {
        let Some(value) = text.strip_prefix(*kind) else { continue };
        if value.is_empty() {
            break;
        }
        if let Some(packed) = packed_uuid(value) {
            uint(out, number as u64);
            out.extend(packed);
        } else {
            uint(out, (4 * value.len() + number) as u64);
            out.extend_from_slice(value);
        }
        return;
    }
    uint(out, 4 * text.len() as u64);
    out.extend_from_slice(text);
}

/// The number of a text that has one, from 1 on, or its length and the text.
pub fn word(out: &mut Vec<u8>, text: &[u8], words: &[String]) {
    match words.iter().position(|word| word.as_bytes() == text) {
        Some(place) => uint(out, place as u64 + 1),
        None => {
            uint(out, OTHER + text.len() as u64);
            out.extend_from_slice(text);
        }
    }
}

/// The six bytes that twelve hexadecimal digits are.
pub fn packed_incarnation(text: &[u8]) -> Option<[u8; INCARNATION_BYTES]> {
    let mut packed = [0; INCARNATION_BYTES];
    if text.len() != 2 * INCARNATION_BYTES {
        return None;
    }
    fill(&mut packed, text.iter().copied())?;
    Some(packed)
}

/// The bytes of the UUID that a text is, as libraries write it.
pub fn packed_uuid(text: &[u8]) -> Option<[u8; 16]> {
    if text.len() != UUID_LENGTH || DASHES.iter().any(|&at| text[at] != b'-') {
        return None;
    }
    let mut packed = [0; 16];
    fill(&mut packed, text.iter().copied().filter(|&letter| letter != b'-'))?;
    Some(packed)
}

/// Bytes of hexadecimal digits, as many as there is room for; None where one is none.
fn fill(packed: &mut [u8], mut letters: impl Iterator<Item = u8>) -> Option<()> {
    for byte in packed {
        *byte = digit(letters.next()?)? << 4 | digit(letters.next()?)?;
    }
    Some(())
}

fn digit(letter: u8) -> Option<u8> {
    match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    }
}

/// The text of a UUID's bytes.
pub fn write_uuid(out: &mut Vec<u8>, packed: &[u8]) {
    for (place, byte) in packed.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        write_hexadecimal(out, &[*byte]);
    }
}

pub fn write_hexadecimal(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.push(HEXADECIMAL[usize::from(byte >> 4)]);
        out.push(HEXADECIMAL[usize::from(byte & 0xf)]);
    }
}

/// Appends the parts of one state that depend on those before them.
pub struct Writer<'a> {
    pub out: &'a mut Vec<u8>,
    /// What the next instant is counted from.
    pub time: i64,
    topic: Option<&'a [u8]>,
}

impl<'a> Writer<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> Writer<'a> {
        Writer { out, time: TIME_FROM_US, topic: None }
    }

    /// The difference to the instant before it: twice the milliseconds where it is whole ones,
    /// else twice the microseconds and one.
    pub fn instant(&mut self, time: i64) {
        let since = time - self.time;
        sint(self.out, if since % 1_000 == 0 { since / 1_000 * 2 } else { since * 2 + 1 });
        self.time = time;
    }

    /// What of a stamp is left out.
    pub fn kept(&self, stamp: &[u8]) -> u64 {
        let at_once = if stamp[..8] == stamp[8..16] { AT_ONCE } else { 0 };
        let same = self.topic == Some(&stamp[STAMP_NUMBERS..]);
        at_once | if same { SAME_TOPIC } else { 0 }
    }

    /// The numbers of a stamp and its topic, but for what is left out.
    pub fn stamp(&mut self, stamp: &'a [u8], kept: u64) {
        let number = |from: usize, to: usize| {
            stamp[from..to].iter().fold(0, |number, &byte| number << 8 | i64::from(byte))
        };
        let (eff, recv) = (number(0, 8), number(8, 16));
        self.instant(eff - SIGN);
        if kept & AT_ONCE == 0 {
            sint(self.out, recv - eff);
        }
        uint(self.out, number(16, 24) as u64);
        uint(self.out, number(24, STAMP_NUMBERS) as u64);
        if kept & SAME_TOPIC == 0 {
            let topic = &stamp[STAMP_NUMBERS..];
            self.topic = Some(topic);
            run(self.out, topic);
        }
    }
}

/// Reads the parts of one state; `at` is where the next one begins.
pub struct Reader<'a> {
    pub raw: &'a [u8],
    pub at: usize,
    /// What the next instant is counted from.
    pub time: i64,
    topic: Option<(usize, usize)>,
}

/// An identifier: where its value lies, and whether that is a UUID's bytes.
pub struct Identifier {
    pub kind: &'static [u8],
    pub place: (usize, usize),
    pub is_uuid: bool,
}

/// A stamp's parts, and where its topic lies.
pub struct Stamp {
    pub eff: i64,
    pub recv: i64,
    pub offset: u64,
    pub partition: u32,
    pub topic: (usize, usize),
}

impl<'a> Reader<'a> {
    pub fn new(raw: &'a [u8]) -> Reader<'a> {
        Reader { raw, at: 0, time: TIME_FROM_US, topic: None }
    }

    pub fn uint(&mut self) -> Result<u64, Malformed> {
        let mut number: u64 = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.raw.get(self.at).ok_or(Malformed)?;
            self.at += 1;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(Malformed);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    pub fn sint(&mut self) -> Result<i64, Malformed> {
        let number = self.uint()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// Where so many bytes lie.
    pub fn take(&mut self, len: u64) -> Result<(usize, usize), Malformed> {
        let start = self.at;
        if len > (self.raw.len() - start) as u64 {
            return Err(Malformed);
        }
        self.at += len as usize;
        Ok((start, self.at))
    }

    pub fn run(&mut self) -> Result<(usize, usize), Malformed> {
        let len = self.uint()?;
        self.take(len)
    }

    pub fn instant(&mut self) -> Result<i64, Malformed> {
        let twice = self.sint()?;
        let unit = if twice & 1 == 0 { 1_000 } else { 1 };
        self.time = sum(self.time, (twice >> 1).checked_mul(unit).ok_or(Malformed)?)?;
        Ok(self.time)
    }

    pub fn identifier(&mut self) -> Result<Identifier, Malformed> {
        let head = self.uint()?;
        let kind = KINDS[(head & 3) as usize];
        let is_uuid = !kind.is_empty() && head < 4;
        let place = self.take(if is_uuid { UUID_BYTES } else { head >> 2 })?;
        Ok(Identifier { kind, place, is_uuid })
    }

    /// A stamp of which something may be left out.
    pub fn stamp(&mut self, kept: u64) -> Result<Stamp, Malformed> {
        let eff = self.instant()?;
        let recv = if kept & AT_ONCE == 0 { sum(eff, self.sint()?)? } else { eff };
        let (offset, partition) = (self.uint()?, self.uint()?);
        let partition = u32::try_from(partition).map_err(|_| Malformed)?;
        if kept & SAME_TOPIC == 0 {
            let (start, end) = self.run()?;
            std::str::from_utf8(&self.raw[start..end]).map_err(|_| Malformed)?;
            self.topic = Some((start, end));
        }
        Ok(Stamp { eff, recv, offset, partition, topic: self.topic.ok_or(Malformed)? })
    }
}

/// An instant that is another by so much.
fn sum(time: i64, since: i64) -> Result<i64, Malformed> {
    match time.checked_add(since) {
        Some(sum) if (-SIGN..SIGN).contains(&sum) => Ok(sum),
        _ => Err(Malformed),
    }
}
