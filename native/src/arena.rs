//! Everything a batch holds, in a few vectors that are emptied when the next one begins: no value,
//! name or statement is an allocation of its own.
//!
//! Spans, names and pairs are places in these vectors. They are copied freely and mean something
//! until `Arena::clear`; what must outlive a batch is kept as bytes of its own. Nothing is freed
//! before: what an event that turned out odd has left here lies unused until then.

use crate::phrases::Phrases;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// Some bytes of the arena. Equal spans are the same place: equal bytes may lie in two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    at: usize,
    len: u32,
}

/// A text that the batch knows by a number: trait, mark, restriction, identifier or destination.
/// Equal names are equal texts; their order says nothing: whatever is sorted is sorted by `text`.
pub type Name = u32;

/// No restriction; also "nobody".
pub const NONE: Name = 0;
/// The mark of activity; its value is the short form of the event's context, as `phrases` has it. All
/// other values are msgpack. So a context is lengthened when it is shown, and only then.
pub const SEEN: Name = 1;
/// The mark of an event that is no activity.
pub const QUIET: Name = 2;
/// Traits that profiles derive from others.
pub const NAME: Name = 3;
pub const FIRST_NAME: Name = 4;
pub const LAST_NAME: Name = 5;
pub const EMAIL_TRAIT: Name = 6;
/// The texts of these constants, each at the place of its number: every batch begins with them.
const KNOWN: [&str; 7] = ["", "s", "q", "name", "firstName", "lastName", "email"];

/// A trait or a mark with its value as msgpack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    pub name: Name,
    pub value: Span,
}

/// Some pairs of the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairs {
    at: u32,
    len: u32,
}

impl Pairs {
    pub fn len(self) -> usize {
        self.len as usize
    }

    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// See `Arena::end`.
pub struct End {
    bytes: usize,
    pairs: usize,
    names: usize,
}

/// Bytes above which an arena gives its memory back instead of keeping it for the next batch.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// See the head of this module. Rules that need it are its methods, spread over the modules.
pub struct Arena {
    bytes: Vec<u8>,
    pairs: Vec<Pair>,
    /// Where the text of each name lies, by its number.
    texts: Vec<Span>,
    /// Finds the number of a text; it holds numbers alone and compares what they stand for.
    numbers: HashTable<Name>,
    hasher: RandomState,
    taken: Taken,
    /// What contexts are shortened by.
    pub phrases: Phrases,
    /// A value that is null.
    pub nil: Span,
}

impl Arena {
    pub fn new(phrases: Phrases) -> Arena {
        let mut arena = Arena {
            bytes: Vec::new(),
            pairs: Vec::new(),
            texts: Vec::new(),
            numbers: HashTable::new(),
            hasher: RandomState::default(),
            taken: Taken::default(),
            phrases,
            nil: Span { at: 0, len: 0 },
        };
        arena.clear();
        arena
    }

    /// Forgets everything; spans, pairs and names of before mean nothing any more.
    pub fn clear(&mut self) {
        if self.bytes.capacity() > KEPT_BYTES_MAX {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.pairs.clear();
        self.texts.clear();
        self.numbers.clear();
        self.taken.clear();
        for text in KNOWN {
            self.name(text.as_bytes());
        }
        self.nil = self.add(&[0xc0]);
    }

    /// Where the arena ends by now.
    pub fn end(&self) -> End {
        End { bytes: self.bytes.len(), pairs: self.pairs.len(), names: self.texts.len() }
    }

    /// Forgets what was added since, unless a name was: that stays for good.
    pub fn cut_to(&mut self, end: End) {
        if self.texts.len() == end.names {
            self.bytes.truncate(end.bytes);
            self.pairs.truncate(end.pairs);
        }
    }

    /// Copies bytes into the arena.
    pub fn add(&mut self, bytes: &[u8]) -> Span {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Span { at, len: bytes.len() as u32 }
    }

    /// What `write` appends.
    pub fn written(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Span {
        let at = self.bytes.len();
        write(&mut self.bytes);
        Span { at, len: (self.bytes.len() - at) as u32 }
    }

    /// The short form of a context, as the value of a mark.
    pub fn shortened(&mut self, context: &[u8]) -> Span {
        let at = self.bytes.len();
        self.phrases.shorten(context, &mut self.bytes);
        Span { at, len: (self.bytes.len() - at) as u32 }
    }

    /// The context of a short form; None of what is none, which no state is read with.
    pub fn lengthened(&mut self, short: Span) -> Option<Span> {
        let mut text = Vec::with_capacity(512);
        self.phrases.lengthen(self.get(short), &mut text).ok()?;
        Some(self.add(&text))
    }

    /// The bytes of a span of this batch.
    pub fn get(&self, span: Span) -> &[u8] {
        &self.bytes[span.at..span.at + span.len as usize]
    }

    /// A part of a span.
    pub fn part(&self, span: Span, start: usize, end: usize) -> Span {
        debug_assert!(start <= end && end <= span.len as usize);
        Span { at: span.at + start, len: (end - start) as u32 }
    }

    /// The number of a text, which is copied where it is new.
    pub fn name(&mut self, text: &[u8]) -> Name {
        let hash = self.hasher.hash_one(text);
        if let Some(known) = self.known(hash, text) {
            return known;
        }
        let span = self.add(text);
        self.remember(hash, span)
    }

    /// The number of a text that lies in the arena.
    pub fn name_at(&mut self, span: Span) -> Name {
        let text = &self.bytes[span.at..span.at + span.len as usize];
        let hash = self.hasher.hash_one(text);
        match self.known(hash, text) {
            Some(known) => known,
            None => self.remember(hash, span),
        }
    }

    fn known(&self, hash: u64, text: &[u8]) -> Option<Name> {
        let found = self.numbers.find(hash, |&one| self.get(self.texts[one as usize]) == text);
        found.copied()
    }

    fn remember(&mut self, hash: u64, span: Span) -> Name {
        let number = self.texts.len() as Name;
        self.texts.push(span);
        let Arena { numbers, bytes, texts, hasher, .. } = self;
        numbers.insert_unique(hash, number, |&one| {
            let known = texts[one as usize];
            hasher.hash_one(&bytes[known.at..known.at + known.len as usize])
        });
        number
    }

    /// The text that a name stands for.
    pub fn text(&self, name: Name) -> &[u8] {
        self.get(self.texts[name as usize])
    }

    /// Where the text of a name lies: so that a part of it can be a span, or a name again.
    pub fn span_of(&self, name: Name) -> Span {
        self.texts[name as usize]
    }

    /// How many names there are: each is smaller.
    pub fn names(&self) -> usize {
        self.texts.len()
    }

    /// Copies pairs into the arena. Those that lie there are never changed.
    pub fn add_pairs(&mut self, pairs: &[Pair]) -> Pairs {
        let at = self.pairs.len() as u32;
        self.pairs.extend_from_slice(pairs);
        Pairs { at, len: pairs.len() as u32 }
    }

    /// The pairs, in the order in which they were stated, which is that of Python's dictionaries.
    pub fn pairs(&self, pairs: Pairs) -> &[Pair] {
        &self.pairs[pairs.at as usize..(pairs.at + pairs.len) as usize]
    }

    /// The pairs whose names `keeps` accepts; the same where it accepts all.
    pub fn filtered(&mut self, pairs: Pairs, keeps: impl Fn(&Taken, Name) -> bool) -> Pairs {
        let (start, end) = (pairs.at as usize, (pairs.at + pairs.len) as usize);
        let kept = |arena: &Arena, at: usize| keeps(&arena.taken, arena.pairs[at].name);
        if (start..end).all(|at| kept(self, at)) {
            return pairs;
        }
        let at = self.pairs.len() as u32;
        for place in start..end {
            if kept(self, place) {
                self.pairs.push(self.pairs[place]);
            }
        }
        Pairs { at, len: self.pairs.len() as u32 - at }
    }

    /// The counters, with room for every name there is by now.
    pub fn taken(&mut self) -> &mut Taken {
        let names = self.texts.len();
        self.taken.grow(names);
        &mut self.taken
    }

    /// Counts the traits and marks of a statement among those that are taken.
    pub fn take(&mut self, traits: Pairs, marks: Pairs) {
        let Arena { pairs, taken, .. } = self;
        for one in &pairs[traits.at as usize..(traits.at + traits.len) as usize] {
            taken.take_trait(one.name);
        }
        for one in &pairs[marks.at as usize..(marks.at + marks.len) as usize] {
            taken.take_mark(one.name);
        }
    }
}

/// How often traits and marks were taken since it was last begun: counters that need no clearing.
/// Each says in which era it was last raised, and is nought in every other.
#[derive(Default)]
pub struct Taken {
    era: u32,
    traits: Vec<(u32, u32)>,
    marks: Vec<(u32, u32)>,
}

impl Taken {
    fn clear(&mut self) {
        self.traits.clear();
        self.marks.clear();
    }

    fn grow(&mut self, names: usize) {
        if self.traits.len() < names {
            self.traits.resize(names, (0, 0));
            self.marks.resize(names, (0, 0));
        }
    }

    /// Nothing is taken; where eras come round again, counters are cleared after all.
    pub fn begin(&mut self) {
        self.era = self.era.wrapping_add(1);
        if self.era == 0 {
            self.era = 1;
            self.traits.fill((0, 0));
            self.marks.fill((0, 0));
        }
    }

    pub fn of_trait(&self, name: Name) -> u32 {
        count(self.era, self.traits[name as usize])
    }

    pub fn of_mark(&self, name: Name) -> u32 {
        count(self.era, self.marks[name as usize])
    }

    pub fn take_trait(&mut self, name: Name) {
        self.traits[name as usize] = (self.era, self.of_trait(name) + 1);
    }

    pub fn take_mark(&mut self, name: Name) {
        self.marks[name as usize] = (self.era, self.of_mark(name) + 1);
    }
}

fn count(era: u32, (since, taken): (u32, u32)) -> u32 {
    if since == era {
        taken
    } else {
        0
    }
}
