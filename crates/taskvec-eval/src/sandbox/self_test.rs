//! The program that every sandbox runs first: it tries to get out.

use super::Program;

pub(super) const ESCAPES: Program<'static> = Program {
    prelude: "",
    text: include_str!("python/escapes.py"),
    test: "def check(candidate):\n    ways = candidate()\n    if ways:\n        raise Exception('possible: ' + ', '.join(ways))\n",
    entry_point: "escapes",
};
