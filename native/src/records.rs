//! Records and their joins: the rules of `resolver.core` for the plain policy, name by name the same.
//!
//! What a batch says of a record has the shape of a record; every join is commutative, associative
//! and idempotent. The plain policy has one rule for all registers (the traits and marks of a
//! statement): the latest wins, and what is identified stands above the anonymous.

use crate::arena::{Arena, Name, Pair, Pairs, Span, Taken, NONE, SEEN};
use crate::pack;
use foldhash::fast::RandomState;
use hashbrown::HashSet;
use std::cmp::Ordering;

/// Added to instants in stamps, so that they compare as unsigned numbers.
pub const SIGN: i64 = 1 << 60;
/// Bindings within five minutes of each other are one.
pub const BUCKET_US: i64 = 300_000_000;
/// Latest points of a device that are kept, beside every identifier's first.
const POINTS_MAX: usize = 128;
/// Latest writes per register of a device that are kept.
const WRITES_MAX: u32 = 128;
/// Restrictions of a lead or user for which the latest write of a register is kept.
const RESTRICTIONS_MAX: usize = 32;
/// The bytes of a stamp before the topic's name.
pub const STAMP_NUMBERS: usize = 28;

/// What one event said; `eff` is the first number of its stamp.
#[derive(Clone, Copy, Debug)]
pub struct Statement {
    pub eff: i64,
    pub stamp: Span,
    pub restriction: Name,
    pub traits: Pairs,
    pub marks: Pairs,
}

impl Statement {
    fn holding(self, traits: Pairs, marks: Pairs) -> Statement {
        Statement { traits, marks, ..self }
    }
}

/// Statements ascending by their stamps, and per restriction when it was first active.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    pub statements: Vec<Statement>,
    pub first: Vec<(Name, i64)>,
}

impl Layer {
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty() && self.first.is_empty()
    }
}

/// When somebody was stated on a device: the earliest instant of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    pub bucket: i64,
    pub who: Name,
    pub eff: i64,
}

/// `anon:a`; points by (bucket, text of whom), linked sorted by text.
#[derive(Clone, Debug, Default)]
pub struct Device {
    pub statements: Vec<Statement>,
    pub points: Vec<Point>,
    pub linked: Vec<Name>,
}

/// What another record shows through this one.
#[derive(Clone, Debug)]
pub struct Contribution {
    pub version: i64,
    pub identified: Layer,
    pub anonymous: Layer,
}

/// When a user stated an address as their own, and which user.
pub type Claim = (Span, Name);

/// `email:e` or `user:u`.
#[derive(Clone, Debug, Default)]
pub struct Person {
    pub own: Layer,
    pub sources: Vec<(Name, Contribution)>,
    pub claim: Option<Claim>,
}

#[derive(Clone, Debug)]
pub enum Record {
    Device(Device),
    Person(Person),
}

/// What a record shows through somebody else.
pub struct Share {
    pub through: Name,
    pub identified: Layer,
    pub anonymous: Layer,
}

/// The stamp of a write: 28 bytes and the topic's name.
pub fn write_stamp(out: &mut Vec<u8>, eff: i64, recv: i64, offset: i64, partition: u32) {
    out.extend((eff + SIGN).to_be_bytes());
    out.extend((recv + SIGN).to_be_bytes());
    out.extend(offset.to_be_bytes());
    out.extend(partition.to_be_bytes());
}

/// The effective time of a stamp; None where it is none.
pub fn eff_of(stamp: &[u8]) -> Option<i64> {
    if stamp.len() < STAMP_NUMBERS {
        return None;
    }
    let first: [u8; 8] = stamp[..8].try_into().ok()?;
    Some(i64::from_be_bytes(first).wrapping_sub(SIGN))
}

impl Arena {
    /// The order of stamps: the first number decides nearly always, and spares looking at bytes.
    pub fn earlier(&self, left: &Statement, right: &Statement) -> Ordering {
        left.eff.cmp(&right.eff).then_with(|| self.get(left.stamp).cmp(self.get(right.stamp)))
    }

    /// Whether the event counts as activity.
    pub fn is_seen(&self, statement: &Statement) -> bool {
        self.pairs(statement.marks).iter().any(|one| one.name == SEEN)
    }

    /// Equal as dictionaries are: whatever the order, values as `same` compares them.
    fn same_pairs(&self, left: Pairs, right: Pairs, same: impl Fn(&Pair, &Pair) -> bool) -> bool {
        if left == right {
            return true;
        }
        let (ours, theirs) = (self.pairs(left), self.pairs(right));
        ours.len() == theirs.len()
            && ours.iter().enumerate().all(|(place, one)| {
                let beside = Some(&theirs[place]).filter(|other| other.name == one.name);
                let other = beside.or_else(|| theirs.iter().find(|other| other.name == one.name));
                other.is_some_and(|other| same(one, other))
            })
    }

    /// Whether two traits' values are equal as Python compares them.
    fn same_value(&self, left: &Pair, right: &Pair) -> bool {
        pack::same(self.get(left.value), self.get(right.value))
    }

    /// The same of marks: a context has one short form.
    fn same_mark(&self, left: &Pair, right: &Pair) -> bool {
        match left.name {
            SEEN => self.get(left.value) == self.get(right.value),
            _ => self.same_value(left, right),
        }
    }

    fn same_statements(&self, left: &[Statement], right: &[Statement]) -> bool {
        left.len() == right.len()
            && left.iter().zip(right).all(|(one, other)| {
                one.eff == other.eff
                    && self.get(one.stamp) == self.get(other.stamp)
                    && one.restriction == other.restriction
                    && self.same_pairs(one.traits, other.traits, |a, b| self.same_value(a, b))
                    && self.same_pairs(one.marks, other.marks, |a, b| self.same_mark(a, b))
            })
    }

    /// Equal as layers of Python are.
    pub fn same_layers(&self, left: &Layer, right: &Layer) -> bool {
        same_first(&left.first, &right.first)
            && self.same_statements(&left.statements, &right.statements)
    }

    /// Ascending by stamp, one statement per stamp and restriction.
    pub fn in_order(&mut self, mut statements: Vec<Statement>) -> Vec<Statement> {
        if statements.len() < 2 {
            return statements;
        }
        statements.sort_by(|left, right| self.earlier(left, right));
        let repeated =
            statements.windows(2).any(|pair| self.earlier(&pair[0], &pair[1]) == Ordering::Equal);
        if repeated {
            self.united(statements)
        } else {
            statements
        }
    }

    /// What one event said is put together again; ties of unlike ones fall by their content.
    fn united(&mut self, mut statements: Vec<Statement>) -> Vec<Statement> {
        statements.sort_by(|left, right| {
            self.earlier(left, right)
                .then_with(|| self.text(left.restriction).cmp(self.text(right.restriction)))
                .then_with(|| self.content(left).cmp(&self.content(right)))
        });
        let mut united: Vec<Statement> = Vec::with_capacity(statements.len());
        for one in statements {
            match united.last_mut() {
                Some(last)
                    if last.restriction == one.restriction
                        && self.earlier(last, &one) == Ordering::Equal =>
                {
                    let traits = self.updated(last.traits, one.traits);
                    let marks = self.updated(last.marks, one.marks);
                    *last = last.holding(traits, marks);
                }
                _ => united.push(one),
            }
        }
        united
    }

    /// What breaks a tie of two statements that claim to be one: any order that is always the same.
    fn content(&self, statement: &Statement) -> Vec<(&[u8], &[u8])> {
        let both = [statement.traits, statement.marks];
        let pairs = both.into_iter().flat_map(|pairs| self.pairs(pairs));
        pairs.map(|one| (self.text(one.name), self.get(one.value))).collect()
    }

    /// The left pairs with the right ones over them, in the order of a dictionary that is updated.
    pub fn updated(&mut self, left: Pairs, right: Pairs) -> Pairs {
        if left == right || right.is_empty() {
            return left;
        }
        if left.is_empty() {
            return right;
        }
        let mut pairs = self.pairs(left).to_vec();
        for &one in self.pairs(right) {
            match pairs.iter_mut().find(|known| known.name == one.name) {
                Some(known) => known.value = one.value,
                None => pairs.push(one),
            }
        }
        self.add_pairs(&pairs)
    }

    /// Both, each ascending by stamp, as one such list.
    fn merged(&mut self, left: &[Statement], right: &[Statement]) -> Vec<Statement> {
        let apart = match (left.last(), right.first()) {
            (Some(last), Some(first)) => self.earlier(last, first) == Ordering::Less,
            _ => true,
        };
        let mut both = Vec::with_capacity(left.len() + right.len());
        both.extend_from_slice(left);
        both.extend_from_slice(right);
        if apart {
            both
        } else {
            self.in_order(both)
        }
    }

    /// Keeps, per register and restriction, the statement that wins there: the latest.
    fn pruned(&mut self, ordered: Vec<Statement>) -> Vec<Statement> {
        if ordered.len() < 2 {
            return ordered;
        }
        let mut kept: Vec<Option<Statement>> = vec![None; ordered.len()];
        let mut restrictions: Vec<Name> = Vec::new();
        for place in (0..ordered.len()).rev() {
            let restriction = ordered[place].restriction;
            if restrictions.contains(&restriction) {
                continue;
            }
            restrictions.push(restriction);
            self.taken().begin();
            for at in (0..=place).rev() {
                if ordered[at].restriction == restriction {
                    kept[at] = self.untaken(ordered[at], 1);
                    if let Some(one) = kept[at] {
                        self.take(one.traits, one.marks);
                    }
                }
            }
        }
        let kept: Vec<Statement> = kept.into_iter().flatten().collect();
        if restrictions.len() > RESTRICTIONS_MAX {
            self.latest(kept, RESTRICTIONS_MAX as u32, |_, _| false)
        } else {
            kept
        }
    }

    /// The statement without registers that were taken so often; None where nothing is left.
    fn untaken(&mut self, one: Statement, most: u32) -> Option<Statement> {
        let traits = self.filtered(one.traits, |taken, name| taken.of_trait(name) < most);
        let marks = self.filtered(one.marks, |taken, mark| taken.of_mark(mark) < most);
        if traits.is_empty() && marks.is_empty() {
            None
        } else {
            Some(one.holding(traits, marks))
        }
    }

    /// The so many latest statements of each register, and the marks that `spared` names.
    fn latest(
        &mut self,
        ordered: Vec<Statement>,
        most: u32,
        spared: impl Fn(&Statement, Name) -> bool,
    ) -> Vec<Statement> {
        self.taken().begin();
        let mut kept = Vec::with_capacity(ordered.len());
        for one in ordered.into_iter().rev() {
            let keeps = |taken: &Taken, mark| taken.of_mark(mark) < most || spared(&one, mark);
            let traits = self.filtered(one.traits, |taken, name| taken.of_trait(name) < most);
            let marks = self.filtered(one.marks, keeps);
            self.take(one.traits, one.marks);
            if !traits.is_empty() || !marks.is_empty() {
                kept.push(one.holding(traits, marks));
            }
        }
        kept.reverse();
        kept
    }

    /// The layer of some events' statements, in any order, repeats included.
    pub fn layer_of(&mut self, statements: Vec<Statement>) -> Layer {
        let mut first: Vec<(Name, i64)> = Vec::new();
        for one in &statements {
            if self.is_seen(one) {
                lower(&mut first, one.restriction, one.eff);
            }
        }
        let first = self.earliest(first);
        let ordered = self.in_order(statements);
        Layer { statements: self.pruned(ordered), first }
    }

    /// In a canonical order, and bounded.
    fn earliest(&self, mut first: Vec<(Name, i64)>) -> Vec<(Name, i64)> {
        if first.len() > 1 {
            first.sort_by(|left, right| {
                left.1.cmp(&right.1).then_with(|| self.text(left.0).cmp(self.text(right.0)))
            });
            first.truncate(RESTRICTIONS_MAX);
        }
        first
    }

    /// The join of what is known with what is said, and what it changed. Of a person every part
    /// counts as changed or none: only devices are asked for more.
    pub fn join_records(&mut self, known: Option<&Record>, said: &Record) -> (Record, Changes) {
        let everything = Changes { statements: true, points: true, linked: true };
        match (known, said) {
            (Some(Record::Device(old)), Record::Device(new)) => {
                let (joined, changes) = self.join_devices(old, new);
                (Record::Device(joined), changes)
            }
            (_, Record::Device(new)) => {
                let (joined, changes) = self.join_devices(&Device::default(), new);
                (Record::Device(joined), changes)
            }
            (Some(Record::Person(old)), Record::Person(new)) => match self.join_people(old, new) {
                Some(joined) => (Record::Person(joined), everything),
                None => (Record::Person(old.clone()), Changes::default()),
            },
            (_, Record::Person(new)) => {
                let joined = self.join_people(&Person::default(), new);
                (Record::Person(joined.unwrap_or_default()), everything)
            }
        }
    }

    /// Everything both layers say; None where the right one adds nothing to the left.
    pub fn join_layers(&mut self, left: &Layer, right: &Layer) -> Option<Layer> {
        if right.is_empty() {
            return None;
        }
        if left.is_empty() {
            return Some(right.clone());
        }
        let first = self.join_first(&left.first, &right.first);
        let both = self.merged(&left.statements, &right.statements);
        let statements = self.pruned(both);
        if first.is_none() && self.same_statements(&statements, &left.statements) {
            return None;
        }
        Some(Layer { statements, first: first.unwrap_or_else(|| left.first.clone()) })
    }

    fn join_first(&self, left: &[(Name, i64)], right: &[(Name, i64)]) -> Option<Vec<(Name, i64)>> {
        let mut joined = left.to_vec();
        for &(restriction, eff) in right {
            lower(&mut joined, restriction, eff);
        }
        if joined == left {
            return None;
        }
        let bounded = self.earliest(joined);
        if same_first(&bounded, left) {
            None
        } else {
            Some(bounded)
        }
    }

    /// Everything said on one device, and which of its parts the right one added to.
    pub fn join_devices(&mut self, left: &Device, right: &Device) -> (Device, Changes) {
        let mut joined = left.clone();
        let mut changes = Changes::default();
        if !right.statements.is_empty() {
            let mut statements = self.merged(&left.statements, &right.statements);
            if statements.len() > WRITES_MAX as usize {
                statements = self.bounded_writes(statements);
            }
            if !self.same_statements(&statements, &left.statements) {
                joined.statements = statements;
                changes.statements = true;
            }
        }
        for &address in &right.linked {
            if !joined.linked.contains(&address) {
                joined.linked.push(address);
                changes.linked = true;
            }
        }
        if changes.linked {
            joined.linked.sort_by(|one, other| self.text(*one).cmp(self.text(*other)));
        }
        if let Some(points) = self.join_points(&left.points, &right.points) {
            joined.points = points;
            changes.points = true;
        }
        (joined, changes)
    }

    /// The WRITES_MAX latest writes per register, and the earliest activity.
    fn bounded_writes(&mut self, ordered: Vec<Statement>) -> Vec<Statement> {
        let earliest = ordered.iter().find(|one| self.is_seen(one)).map(|one| one.stamp);
        let spared = |one: &Statement, mark| mark == SEEN && Some(one.stamp) == earliest;
        self.latest(ordered, WRITES_MAX, spared)
    }

    /// The earliest point per bucket and identifier, bounded; None where nothing is new.
    fn join_points(&self, left: &[Point], right: &[Point]) -> Option<Vec<Point>> {
        let mut points = [left, right].concat();
        self.sort_points(&mut points);
        points.dedup_by(|later, kept| {
            let same = (later.bucket, later.who) == (kept.bucket, kept.who);
            if same {
                kept.eff = kept.eff.min(later.eff);
            }
            same
        });
        if points.len() > POINTS_MAX {
            points = bound_points(&points);
        }
        (points != left).then_some(points)
    }

    /// In the order of Python's keys, (bucket, identifier).
    pub fn sort_points(&self, points: &mut [Point]) {
        points.sort_by(|one, other| {
            let texts = || self.text(one.who).cmp(self.text(other.who));
            one.bucket.cmp(&other.bucket).then_with(texts)
        });
    }

    /// Everything known of one person; None where the right one adds nothing.
    pub fn join_people(&mut self, left: &Person, right: &Person) -> Option<Person> {
        let mut sources: Option<Vec<(Name, Contribution)>> = None;
        for (source, contribution) in &right.sources {
            let known = left.sources.iter().position(|one| one.0 == *source);
            if known.is_some_and(|at| left.sources[at].1.version >= contribution.version) {
                continue;
            }
            let joined = sources.get_or_insert_with(|| left.sources.clone());
            match known {
                Some(at) => joined[at].1 = contribution.clone(),
                None => joined.push((*source, contribution.clone())),
            }
        }
        let claim = match (left.claim, right.claim) {
            (Some(ours), Some(theirs)) if self.claim_order(theirs, ours) == Ordering::Less => {
                Some(theirs)
            }
            (None, theirs) => theirs,
            (ours, _) => ours,
        };
        let own = self.join_layers(&left.own, &right.own);
        if own.is_none() && sources.is_none() && claim == left.claim {
            return None;
        }
        let own = own.unwrap_or_else(|| left.own.clone());
        let mut sources = sources.unwrap_or_else(|| left.sources.clone());
        self.forget_old_activity(&mut sources, &own);
        Some(Person { own, sources, claim })
    }

    /// Which of two claims is earlier; at the same moment, by the users' identifiers.
    pub fn claim_order(&self, one: Claim, other: Claim) -> Ordering {
        let stamps = self.get(one.0).cmp(self.get(other.0));
        stamps.then_with(|| self.text(one.1).cmp(self.text(other.1)))
    }

    /// Drops marks of activity that can never show again, for a later one of the person's own.
    fn forget_old_activity(&mut self, sources: &mut [(Name, Contribution)], own: &Layer) {
        let mut latest: Vec<Statement> = Vec::new();
        for one in own.statements.iter().rev() {
            let known = latest.iter().any(|later| later.restriction == one.restriction);
            if !known && self.is_seen(one) {
                latest.push(*one);
            }
        }
        for (_, contribution) in sources {
            self.quieten(&mut contribution.identified, &latest);
            self.quieten(&mut contribution.anonymous, &latest);
        }
    }

    fn quieten(&mut self, layer: &mut Layer, latest: &[Statement]) {
        for one in &mut layer.statements {
            let later = latest.iter().find(|later| later.restriction == one.restriction);
            let past = later.is_some_and(|later| self.earlier(one, later) == Ordering::Less);
            if past && self.is_seen(one) {
                one.marks = self.filtered(one.marks, |_, mark| mark != SEEN);
            }
        }
    }

    /// Statements by owner, those that are nobody's under `NONE`, in the order owners come up.
    fn owned(&self, device: &Device) -> Vec<(Name, Vec<Statement>)> {
        if device.statements.is_empty() {
            return Vec::new();
        }
        if device.points.is_empty() {
            return vec![(NONE, device.statements.clone())];
        }
        let mut timeline = device.points.clone();
        timeline.sort_by(|one, other| {
            let texts = || self.text(one.who).cmp(self.text(other.who));
            one.eff.cmp(&other.eff).then_with(texts)
        });
        let only = self.sole_owner(device);
        let mut owned: Vec<(Name, Vec<Statement>)> = Vec::new();
        for &statement in &device.statements {
            let next = timeline.partition_point(|point| point.eff < statement.eff);
            let owner = timeline.get(next).map_or(only, |point| point.who);
            match owned.iter_mut().find(|known| known.0 == owner) {
                Some(known) => known.1.push(statement),
                None => owned.push((owner, vec![statement])),
            }
        }
        owned
    }

    /// The only identifier ever stated on a device, leads that a user stated there left out; else
    /// `NONE`.
    fn sole_owner(&self, device: &Device) -> Name {
        let is_linked =
            |who: Name| self.text(who).starts_with(b"email:") && device.linked.contains(&who);
        let stated = || device.points.iter().map(|point| point.who);
        only(stated()).or_else(|| only(stated().filter(|&who| !is_linked(who)))).unwrap_or(NONE)
    }

    /// Whether the record is nobody's profile for sure, so that folding it can be spared.
    pub fn is_hidden(&self, record: &Record, key: Name) -> bool {
        match record {
            Record::Device(device) => is_claimed(device),
            Record::Person(person) => {
                person.claim.is_some() && self.text(key).starts_with(b"email:")
            }
        }
    }

    /// The writes that are nobody's: the profile `anon:a` itself.
    pub fn unowned(&self, device: &Device) -> Vec<Statement> {
        let mut owned = self.owned(device);
        match owned.iter().position(|one| one.0 == NONE) {
            Some(at) => owned.swap_remove(at).1,
            None => Vec::new(),
        }
    }

    /// What a record shows through others, by the identifier of each.
    pub fn shares_of(&mut self, record: &Record, key: Name) -> Vec<Share> {
        match record {
            Record::Device(device) if !device.points.is_empty() => self.contributions(device, key),
            Record::Person(person) if self.text(key).starts_with(b"email:") => {
                self.lead_contributions(person)
            }
            _ => Vec::new(),
        }
    }

    fn contributions(&mut self, device: &Device, anon: Name) -> Vec<Share> {
        let mut mark = vec![b'a'];
        mark.extend_from_slice(self.text(anon));
        let mark = self.name(&mark);
        let mut shares = Vec::new();
        for (owner, mut statements) in self.owned(device) {
            if owner == NONE {
                continue;
            }
            for one in &mut statements {
                one.marks = self.with_mark(one.marks, mark);
            }
            let anonymous = self.layer_of(statements);
            shares.push(Share { through: owner, identified: Layer::default(), anonymous });
        }
        shares
    }

    fn with_mark(&mut self, marks: Pairs, mark: Name) -> Pairs {
        let value = self.nil;
        let alone = self.add_pairs(&[crate::arena::Pair { name: mark, value }]);
        self.updated(marks, alone)
    }

    fn lead_contributions(&mut self, lead: &Person) -> Vec<Share> {
        let Some(claim) = lead.claim else {
            return Vec::new();
        };
        let mut anonymous = Layer::default();
        for (_, contribution) in &lead.sources {
            if let Some(joined) = self.join_layers(&anonymous, &contribution.anonymous) {
                anonymous = joined;
            }
        }
        if lead.own.is_empty() && anonymous.is_empty() {
            return Vec::new();
        }
        vec![Share { through: claim.1, identified: lead.own.clone(), anonymous }]
    }
}

/// Which parts of a device a join has changed.
#[derive(Clone, Copy, Default)]
pub struct Changes {
    pub statements: bool,
    pub points: bool,
    pub linked: bool,
}

impl Changes {
    pub fn any(self) -> bool {
        self.statements || self.points || self.linked
    }
}

/// Whether the device's statements surely belong to the same people as before.
pub fn keeps_owners(before: &Device, after: &Device, changes: Changes) -> bool {
    if changes.statements {
        return false;
    }
    if after.statements.is_empty() {
        return true;
    }
    is_claimed(before) && (!changes.points || adds_later(&before.points, &after.points))
}

/// Whether a login at or after the last statement claims whatever no earlier one does.
fn is_claimed(device: &Device) -> bool {
    match device.statements.last() {
        None => true,
        Some(last) => device.points.iter().any(|point| point.eff >= last.eff),
    }
}

/// Whether `after` is `before` with points that are all later than every one of them; both are in
/// order.
fn adds_later(before: &[Point], after: &[Point]) -> bool {
    let latest = before.iter().map(|point| point.eff).max();
    let mut kept = 0;
    for point in after {
        if before.get(kept) == Some(point) {
            kept += 1;
        } else if Some(point.eff) <= latest {
            return false;
        }
    }
    kept == before.len()
}

/// Somebody was stated together with the device; the earliest of a bucket counts.
pub fn add_point(points: &mut Vec<Point>, point: Point) {
    let known = points.iter_mut().find(|one| one.bucket == point.bucket && one.who == point.who);
    match known {
        Some(known) => known.eff = known.eff.min(point.eff),
        None => points.push(point),
    }
}

/// The name that all of these are; None of none.
fn only(mut names: impl Iterator<Item = Name>) -> Option<Name> {
    let first = names.next()?;
    names.all(|one| one == first).then_some(first)
}

/// The POINTS_MAX latest points and every identifier's first, of sorted ones.
fn bound_points(ordered: &[Point]) -> Vec<Point> {
    let late = ordered.len().saturating_sub(POINTS_MAX);
    let mut met: HashSet<Name, RandomState> = HashSet::default();
    let mut kept = Vec::new();
    for (place, point) in ordered.iter().enumerate() {
        let first = met.insert(point.who);
        if first || place >= late {
            kept.push(*point);
        }
    }
    kept
}

/// When a restriction was first active: now, or earlier.
fn lower(first: &mut Vec<(Name, i64)>, restriction: Name, eff: i64) {
    match first.iter_mut().find(|known| known.0 == restriction) {
        Some(known) => known.1 = known.1.min(eff),
        None => first.push((restriction, eff)),
    }
}

/// Equal as dictionaries are.
fn same_first(left: &[(Name, i64)], right: &[(Name, i64)]) -> bool {
    left.len() == right.len() && left.iter().all(|one| right.contains(one))
}
