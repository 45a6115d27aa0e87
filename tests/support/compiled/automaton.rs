//! A deterministic automaton in compressed tables, as the kernel walks it.

use std::fmt;

use anyhow::{Context as _, Result, bail, ensure};

/// A state of an automaton. A test walks from state to state to ask about many strings, or about all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct State(pub(crate) u32);

impl State {
    /// From here nothing matches any more.
    pub(crate) const DEAD: Self = Self(0);
    pub(crate) const START: Self = Self(1);
}

/// The tables. Big-endian in the file, each padded to 8 bytes.
#[derive(Clone, Default)]
pub(crate) struct Automaton {
    pub(crate) accept: Vec<u32>,
    pub(crate) accept2: Vec<u32>,
    /// The class of each byte; none: each byte is its own.
    classes: Vec<u32>,
    base: Vec<u32>,
    default: Vec<u32>,
    next: Vec<u32>,
    check: Vec<u32>,
}

impl Automaton {
    /// Reads a blob, which may be padded in front.
    pub(crate) fn read(blob: &[u8]) -> Result<Self> {
        let start = blob
            .windows(4)
            .position(|bytes| bytes == MAGIC.to_be_bytes())
            .context("no automaton in the blob")?;
        let bytes = blob.get(start..).unwrap_or_default();
        let header = usize::try_from(number(bytes, 4, 4)?)?;
        let size = usize::try_from(number(bytes, 8, 4)?)?;
        let flags = number(bytes, 12, 2)?;
        ensure!(
            flags & !(DIFFERENTIAL | OUT_OF_BAND) == 0,
            "unknown flags {flags:#x} of an automaton"
        );
        let mut automaton = Self::default();
        let mut position = header;
        while position < size {
            let table = number(bytes, position, 2)?;
            let width = usize::try_from(number(bytes, position + 2, 2)?)?;
            let length = usize::try_from(number(bytes, position + 8, 4)?)?;
            ensure!(matches!(width, 1 | 2 | 4), "a table of {width} byte items");
            let first = position + 12;
            let items = (0..length).map(|index| number(bytes, first + index * width, width));
            let items = items.collect::<Result<Vec<u32>>>()?;
            match table {
                1 => automaton.accept = items,
                2 => automaton.base = items,
                3 => automaton.check = items,
                4 => automaton.default = items,
                5 => automaton.classes = items,
                7 => automaton.accept2 = items,
                8 => automaton.next = items,
                _ => bail!("unknown table {table} of an automaton"),
            }
            position = (first + length * width).next_multiple_of(8);
        }
        automaton.verify()?;
        Ok(automaton)
    }

    /// What makes walking safe: every state has its entries, every transition leads to a state.
    fn verify(&self) -> Result<()> {
        let states = self.base.len();
        ensure!(states >= 2, "an automaton of {states} states");
        ensure!(self.accept.len() == states, "states without permissions");
        ensure!(
            self.accept2.is_empty() || self.accept2.len() == states,
            "states without second permissions"
        );
        ensure!(self.default.len() == states, "states without defaults");
        ensure!(self.next.len() == self.check.len(), "tables of two lengths");
        ensure!(
            self.classes.is_empty() || self.classes.len() == 256,
            "bytes without classes"
        );
        let mut targets = self.default.iter().chain(&self.next).chain(&self.check);
        let exists = |state: &u32| usize::try_from(*state).is_ok_and(|state| state < states);
        ensure!(targets.all(exists), "a transition leads nowhere");
        Ok(())
    }

    /// How many states there are, the dead one included.
    pub(crate) fn states(&self) -> usize {
        self.base.len()
    }

    pub(crate) fn step(&self, state: State, byte: u8) -> State {
        let class = self.classes.get(usize::from(byte)).copied();
        self.transition(state, class.unwrap_or_else(|| byte.into()).into())
    }

    pub(crate) fn run(&self, start: State, bytes: &[u8]) -> State {
        bytes
            .iter()
            .fold(start, |state, &byte| self.step(state, byte))
    }

    /// The transition that no byte takes: it comes before values of extended attributes.
    pub(crate) fn out_of_band(&self, state: State) -> State {
        if self.base[state.index()] & BASE_OUT_OF_BAND == 0 {
            return State::DEAD;
        }
        self.transition(state, -1)
    }

    fn transition(&self, mut state: State, class: i64) -> State {
        // A state may say only how it differs from its default. Chains of those end; a bound costs nothing.
        for _ in 0..=self.base.len() {
            let base = self.base[state.index()];
            let position = i64::from(base & BASE_INDEX) + class;
            let position = usize::try_from(position).unwrap_or(usize::MAX);
            if self.check.get(position) == Some(&state.0) {
                return State(self.next[position]);
            }
            state = State(self.default[state.index()]);
            if base & BASE_DIFFERENTIAL == 0 {
                return state;
            }
        }
        State::DEAD
    }
}

impl State {
    pub(crate) fn index(self) -> usize {
        // Tables of a 32 bit state fit: they were read.
        usize::try_from(self.0).unwrap_or(0)
    }
}

/// Nobody reads the tables in a failed assertion.
impl fmt::Debug for Automaton {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Automaton({} states)", self.states())
    }
}

fn number(bytes: &[u8], at: usize, width: usize) -> Result<u32> {
    let taken = bytes.get(at..at + width).context("a table is cut off")?;
    Ok(taken
        .iter()
        .fold(0, |number, &byte| number << 8 | u32::from(byte)))
}

const MAGIC: u32 = 0x1B5E_783D;
const DIFFERENTIAL: u32 = 1;
const OUT_OF_BAND: u32 = 2;
const BASE_DIFFERENTIAL: u32 = 0x8000_0000;
const BASE_OUT_OF_BAND: u32 = 0x4000_0000;
const BASE_INDEX: u32 = 0x00ff_ffff;
