//! Following aliases (CNAME) to their end, RFC 1034 3.6.2 and 5.2.2, for addresses and for all other records. The servers
//! that were asked for a name are believed about it, and about the aliases that it leads to as long as these are theirs:
//! where the chain enters a name that has a pin, or one that other servers answer for, it is looked up anew by our own
//! rules, whatever the first servers said of its end. So split horizon holds behind an alias too.

use acme::failure::{Lookup, Reason};
use acme::problem::plain;
use hickory_resolver::proto::rr::{Name, RecordType};

use super::question::{MAX_ALIASES, Verdict};
use super::search::{Search, explain};
use super::server::Server;
use super::upstream::Upstream;
use super::{Group, Resolver};

/// What is at the end of a name's aliases.
pub(super) struct End {
    /// Every server that was asked for every name and record, in order.
    pub(super) lookups: Vec<Lookup>,
    /// The answers that brought something, at least one; or why none did, in a sentence that names the end.
    pub(super) outcome: Result<Vec<Verdict>, (Reason, String)>,
}

/// What is looked for.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// One kind of record, or two that are asked for at once. Either is enough.
    pub(super) kinds: &'a [RecordType],
    /// Whether pins answer.
    pub(super) by_pins: bool,
}

enum Step {
    Found(Vec<Verdict>),
    Nothing((Reason, String)),
    Turn(Turn),
}

/// An alias at which the search goes on.
struct Turn {
    to: Name,
    /// How many aliases of the answer led there, itself included.
    aliases: usize,
    /// Who told it.
    server: String,
}

impl Resolver {
    /// Looks a name up, and what it is an alias of. One round of questions where the answers tell the whole chain and no
    /// other servers are to be asked for any of it.
    pub(super) async fn follow(&self, name: Name, wanted: Wanted<'_>) -> End {
        let mut lookups = Vec::new();
        let mut way = Way::new(name);
        let outcome = loop {
            match self.step(&way, wanted, &mut lookups).await {
                Step::Found(verdicts) => break Ok(verdicts),
                Step::Nothing(why) => break Err(why),
                Step::Turn(turn) => {
                    if let Err(why) = way.take(turn) {
                        break Err(why);
                    }
                }
            }
        };
        End { lookups, outcome }
    }

    /// All kinds at once, server after server, until one brought something or all is answered. A definite answer for one
    /// kind is not asked for again; a server that failed for both does not hide the next.
    async fn step(&self, way: &Way, wanted: Wanted<'_>, lookups: &mut Vec<Lookup>) -> Step {
        if wanted.by_pins
            && let Some(pin) = self.pins.find(&way.here)
        {
            lookups.push(pin.lookup(&way.here));
            return Step::Found(vec![Verdict::pinned(pin.addresses)]);
        }
        let group = self.group_of(&way.here);
        let mut searches: Vec<Search> = wanted.kinds.iter().map(|kind| way.search(*kind)).collect();
        let turn = |search: &Search| self.turn(search, group, wanted.by_pins);
        for (server, upstream) in group.servers.iter().zip(&group.upstreams) {
            lookups.extend(ask(&mut searches, server, upstream).await);
            let is_over = |search: &Search| search.has_brought() || turn(search).is_some();
            if searches.iter().any(is_over) || searches.iter().all(Search::is_settled) {
                break;
            }
        }
        let theirs = searches.iter().filter(|search| search.has_brought() && turn(search).is_none());
        let found: Vec<Verdict> = theirs.filter_map(Search::last).cloned().collect();
        if !found.is_empty() {
            return Step::Found(found);
        }
        // An alias is one for every kind of record (RFC 1034 3.6.2): whichever answer has it tells it for all.
        let last_first = || searches.iter().rev();
        match last_first().find_map(turn).or_else(|| last_first().find_map(untold)) {
            Some(turn) => Step::Turn(turn),
            None => Step::Nothing(explain(&way.here, &way.told(), &last_first().collect::<Vec<_>>())),
        }
    }

    /// The first alias of the last answer that is not for `group` to answer for.
    fn turn(&self, search: &Search, group: &Group, by_pins: bool) -> Option<Turn> {
        let is_elsewhere = |alias: &Name| {
            let name = lower(alias);
            (by_pins && self.pins.find(&name).is_some()) || self.group_of(&name).servers != group.servers
        };
        let place = search.last()?.aliases.iter().position(is_elsewhere)?;
        turn_at(search, place)
    }
}

/// The end of a chain of which the answer tells nothing; an authoritative server may know the first alias alone.
fn untold(search: &Search) -> Option<Turn> {
    let verdict = search.last().filter(|verdict| verdict.is_untold)?;
    turn_at(search, verdict.aliases.len().checked_sub(1)?)
}

fn turn_at(search: &Search, place: usize) -> Option<Turn> {
    let (server, verdict) = search.verdicts.last()?;
    let to = verdict.aliases.get(place)?.clone();
    Some(Turn { to, aliases: place + 1, server: server.clone() })
}

async fn ask(searches: &mut [Search], server: &Server, upstream: &Upstream) -> Vec<Lookup> {
    match searches {
        [one, other] => {
            let (one, other) = tokio::join!(one.ask(server, upstream), other.ask(server, upstream));
            [one, other].into_iter().flatten().collect()
        }
        [one] => one.ask(server, upstream).await.into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The way from the name that was asked for to the one that is looked up.
struct Way {
    here: String,
    absolute: Name,
    /// The names that were looked up before, the one that was asked for first.
    behind: Vec<String>,
    /// Who told the aliases, each once.
    told_by: Vec<String>,
    /// How many aliases are behind, those within one answer included.
    followed: usize,
}

impl Way {
    fn new(absolute: Name) -> Self {
        let here = lower(&absolute);
        Self { here, absolute, behind: Vec::new(), told_by: Vec::new(), followed: 0 }
    }

    fn search(&self, kind: RecordType) -> Search {
        let search = Search::new(&self.here, self.absolute.clone(), kind);
        if self.behind.is_empty() { search } else { search.called(&self.here) }
    }

    /// Goes to an alias; refused where that has no end.
    fn take(&mut self, turn: Turn) -> Result<(), (Reason, String)> {
        let name = lower(&turn.to);
        self.followed += turn.aliases;
        if !self.told_by.contains(&turn.server) {
            self.told_by.push(turn.server);
        }
        self.behind.push(std::mem::replace(&mut self.here, name));
        self.absolute = turn.to;
        let why = if self.behind.contains(&self.here) {
            format!("its aliases lead in a circle, back to {}", self.here)
        } else if self.followed > MAX_ALIASES {
            format!("a chain of more than {MAX_ALIASES} aliases")
        } else {
            return Ok(());
        };
        let why = format!("looking up {}: {why} (asked {})", self.behind[0], self.told_by.join(", "));
        Err((Reason::Malformed, plain(&why, SENTENCE)))
    }

    /// The name that was asked for, and where it led to.
    fn told(&self) -> String {
        match self.behind.first() {
            None => self.here.clone(),
            Some(first) => format!("{first}, an alias of {} (asked {})", self.here, self.told_by.join(", ")),
        }
    }
}

/// In lower case, without the final dot.
pub(super) fn lower(name: &Name) -> String {
    let mut text = name.to_ascii().to_ascii_lowercase();
    text.truncate(text.trim_end_matches('.').len());
    text
}

/// How long the sentence of a chain without an end may be.
const SENTENCE: usize = 600;
