//! Searches the memory of another process, by `/proc`.

use super::needles::Needle;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::FileExt;

/// As few consecutive octets of a secret are too many.
const WINDOW: usize = 8;
const PAGE: usize = 4096;
const CHUNK: usize = 256 * PAGE;

/// All windows of all needles, and a sieve before them.
pub(crate) struct Windows {
    /// Window -> number of its needle.
    exact: HashMap<u64, usize>,
    /// A bit for each hash of three octets with which a window starts.
    sieve: Vec<u64>,
}

/// Where a needle was found: number of the needle -> places.
pub(crate) type Findings = BTreeMap<usize, Vec<Place>>;

#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) address: u64,
    pub(crate) mapping: String,
    /// The mapping is kept out of core dumps.
    #[allow(dead_code)] // One of the two searches asks.
    pub(crate) undumped: bool,
}

/// What the process has mapped.
struct Mapping {
    start: u64,
    end: u64,
    readable: bool,
    name: String,
    undumped: bool,
}

impl Mapping {
    fn all_of(process: u32) -> Vec<Self> {
        let mut mappings: Vec<Self> = Vec::new();
        for line in fs::read_to_string(format!("/proc/{process}/smaps")).unwrap().lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            match fields[0].split_once('-') {
                // Of the lines about a mapping this alone begins with its range. The others begin with the name of a field.
                Some((start, end)) => mappings.push(Self {
                    start: u64::from_str_radix(start, 16).unwrap(),
                    end: u64::from_str_radix(end, 16).unwrap(),
                    readable: fields[1].starts_with('r'),
                    name: fields.get(5).copied().unwrap_or("anonymous").to_owned(),
                    undumped: false,
                }),
                None if fields[0] == "VmFlags:" => mappings.last_mut().unwrap().undumped = fields.contains(&"dd"),
                None => {}
            }
        }
        mappings
    }
}

impl Windows {
    pub(crate) fn of(needles: &[Needle]) -> Self {
        let mut windows = Self { exact: HashMap::new(), sieve: vec![0; 1 << 18] };
        for (number, needle) in needles.iter().enumerate() {
            for window in needle.octets.windows(WINDOW) {
                let value = u64::from_le_bytes(window.try_into().unwrap());
                assert!(window.iter().any(|octet| *octet != window[0]), "{}: not random", needle.name);
                windows.exact.entry(value).or_insert(number);
                let start = (value & 0xff_ffff) as usize;
                windows.sieve[start >> 6] |= 1 << (start & 63);
            }
        }
        windows
    }

    fn search(&self, memory: &[u8], mut found: impl FnMut(usize, usize)) {
        let sieve = &self.sieve[..1 << 18];
        let mut value = 0u64;
        // Byte by byte, with as little as can be to do for each: tests are not optimised.
        for (end, octet) in memory.iter().enumerate() {
            value = value >> 8 | (*octet as u64) << 56;
            let start = (value & 0xff_ffff) as usize;
            if sieve[start >> 6] >> (start & 63) & 1 != 0
                && end + 1 >= WINDOW
                && let Some(number) = self.exact.get(&value)
            {
                found(*number, end + 1 - WINDOW);
            }
        }
    }
}

/// Searches every readable mapping of the process; says what was found where, and how many octets were read.
pub(crate) fn scan(process: u32, windows: &Windows) -> (Findings, usize) {
    let memory = fs::File::open(format!("/proc/{process}/mem")).unwrap();
    let (mut findings, mut read) = (Findings::new(), 0);
    let mut buffer = vec![0; CHUNK];
    for Mapping { start, end, readable, name, undumped } in Mapping::all_of(process) {
        // The kernel's, shared by all processes, and not to be read this way.
        if !readable || ["[vvar]", "[vvar_vclock]", "[vsyscall]", "[vdso]"].contains(&name.as_str()) {
            continue;
        }
        let mut at = start;
        while at < end {
            let want = CHUNK.min(usize::try_from(end - at).unwrap_or(CHUNK));
            let Ok(len @ 1..) = memory.read_at(&mut buffer[..want], at) else {
                // A page that cannot be read: behind the end of a mapped file.
                at += PAGE as u64;
                continue;
            };
            read += len;
            for_each_stretch(&buffer[..len], |offset, stretch| {
                windows.search(stretch, |needle, within| {
                    let address = at + (offset + within) as u64;
                    findings.entry(needle).or_default().push(Place { address, mapping: name.clone(), undumped });
                });
            });
            // Windows may lie across what is read at once.
            at += if len == want && at + (len as u64) < end { len - (WINDOW - 1) } else { len } as u64;
        }
    }
    (findings, read)
}

/// The parts of `memory` that are not zero, by pages, with what belongs to windows that begin or end in the pages beside them.
fn for_each_stretch(memory: &[u8], mut visit: impl FnMut(usize, &[u8])) {
    let zeros = [0; PAGE];
    let mut from = None;
    for (number, page) in memory.chunks(PAGE).enumerate() {
        let start = number * PAGE;
        if page != &zeros[..page.len()] {
            from.get_or_insert(start.saturating_sub(WINDOW - 1));
        } else if let Some(from) = from.take() {
            visit(from, &memory[from..memory.len().min(start + WINDOW - 1)]);
        }
    }
    if let Some(from) = from {
        visit(from, &memory[from..]);
    }
}
