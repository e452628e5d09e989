//! The default filter of system calls, as the OCI runtimes' users have it: what containers need is let through, all else is refused
//! with `EPERM`.
//!
//! The program is made here and not by a library of another language, so there is no build in which it could be missing. Calls by
//! another architecture's numbers (32-bit programs) are refused with `ENOSYS`: the one difference to those defaults.

use std::io;

use serde_json::{Value, json};

use crate::sys::{self, Instruction};

mod calls;

const LOAD: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_AT_LEAST: u16 = 0x35;
const JUMP_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

const ALLOW: u32 = 0x7fff_0000;
const REFUSE: u32 = 0x0005_0000;
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// Where struct seccomp_data has what.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

#[cfg(target_arch = "x86_64")]
const THIS_ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const THIS_ARCHITECTURE: u32 = 0xc000_00b7;

/// From here on numbers are those of x32.
const FOREIGN_NUMBERS: u32 = 0x4000_0000;

/// Flags of `clone` that make namespaces.
const NAMESPACES: u32 = 0x7e02_0000;

/// Personalities that change nothing but the look of `uname`.
const PERSONALITIES: [u32; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Reaches the hypervisor.
const AF_VSOCK: u32 = 40;

/// Puts the filter in force for this process and all that it makes.
///
/// # Errors
/// The kernel has no filters, or the process may not have one.
pub fn install() -> io::Result<()> {
    sys::filter_calls(&program())
}

fn program() -> Vec<Instruction> {
    let mut program = vec![
        load(ARCHITECTURE),
        jump(JUMP_EQUAL, THIS_ARCHITECTURE, 1, 0),
        refuse(ENOSYS),
        load(NUMBER),
        jump(JUMP_AT_LEAST, FOREIGN_NUMBERS, 0, 1),
        refuse(ENOSYS),
    ];
    // A library that gets ENOSYS from clone3, whose flags a filter cannot see, goes on with clone.
    program.extend([jump(JUMP_EQUAL, number(libc::SYS_clone3), 0, 1), refuse(ENOSYS)]);
    by_argument(
        &mut program,
        libc::SYS_clone,
        &[jump(JUMP_ANY_BIT, NAMESPACES, 0, 1), refuse(EPERM), allow()],
    );
    by_argument(
        &mut program,
        libc::SYS_socket,
        &[jump(JUMP_EQUAL, AF_VSOCK, 0, 1), refuse(EPERM), allow()],
    );
    let mut personalities = Vec::new();
    for known in PERSONALITIES {
        personalities.extend([jump(JUMP_EQUAL, known, 0, 1), allow()]);
    }
    personalities.push(refuse(EPERM));
    by_argument(&mut program, libc::SYS_personality, &personalities);
    for (first, last) in ranges() {
        // Ascending: what is below this range was in none before.
        program.extend([
            jump(JUMP_GREATER, last, 3, 0),
            jump(JUMP_AT_LEAST, first, 0, 1),
            allow(),
            refuse(EPERM),
        ]);
    }
    program.push(refuse(EPERM));
    program
}

/// Adds what is decided by the lower half of the first argument of one call.
fn by_argument(program: &mut Vec<Instruction>, call: libc::c_long, decided: &[Instruction]) {
    let skipped = u8::try_from(decided.len() + 1).expect("a decision has few instructions");
    program.push(jump(JUMP_EQUAL, number(call), 0, skipped));
    program.push(load(FIRST_ARGUMENT));
    program.extend(decided);
}

/// Numbers of calls that are let through, first and last of each run.
fn ranges() -> Vec<(u32, u32)> {
    let mut numbers: Vec<u32> = calls::ALLOWED.iter().map(|(_, call)| number(*call)).collect();
    numbers.sort_unstable();
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 >= number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    ranges
}

/// The same filter for another runtime (`linux.seccomp`).
pub fn for_runtimes() -> Value {
    let names: Vec<&str> =
        calls::ALLOWED.iter().map(|(name, _)| name.trim_start_matches("SYS_")).collect();
    let argument = |value: u64, second: u64, operator: &str| json!([{ "index": 0, "value": value, "valueTwo": second, "op": operator }]);
    let mut calls = vec![
        json!({ "names": names, "action": "SCMP_ACT_ALLOW" }),
        json!({ "names": ["clone"], "action": "SCMP_ACT_ALLOW",
            "args": argument(NAMESPACES.into(), 0, "SCMP_CMP_MASKED_EQ") }),
        json!({ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS }),
        json!({ "names": ["socket"], "action": "SCMP_ACT_ALLOW",
            "args": argument(AF_VSOCK.into(), 0, "SCMP_CMP_NE") }),
    ];
    for known in PERSONALITIES {
        calls.push(json!({ "names": ["personality"], "action": "SCMP_ACT_ALLOW",
            "args": argument(known.into(), 0, "SCMP_CMP_EQ") }));
    }
    json!({ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": EPERM, "syscalls": calls })
}

fn load(offset: u32) -> Instruction {
    Instruction { code: LOAD, if_true: 0, if_false: 0, value: offset }
}

/// So many instructions are skipped in each case.
fn jump(code: u16, value: u32, if_true: u8, if_false: u8) -> Instruction {
    Instruction { code, if_true, if_false, value }
}

fn allow() -> Instruction {
    Instruction { code: RETURN, if_true: 0, if_false: 0, value: ALLOW }
}

fn refuse(errno: u32) -> Instruction {
    Instruction { code: RETURN, if_true: 0, if_false: 0, value: REFUSE | errno }
}

fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).expect("numbers of calls are small")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would decide.
    fn decide(architecture: u32, call: libc::c_long, argument: u32) -> u32 {
        let program = program();
        let (mut place, mut accumulator) = (0, 0);
        loop {
            let Instruction { code, if_true, if_false, value } = program[place];
            place += 1;
            let is_true = match code {
                LOAD => {
                    accumulator = match value {
                        NUMBER => number(call),
                        ARCHITECTURE => architecture,
                        FIRST_ARGUMENT => argument,
                        other => panic!("nothing is at {other}"),
                    };
                    continue;
                }
                RETURN => return value,
                JUMP_EQUAL => accumulator == value,
                JUMP_GREATER => accumulator > value,
                JUMP_AT_LEAST => accumulator >= value,
                JUMP_ANY_BIT => accumulator & value != 0,
                other => panic!("no instruction {other}"),
            };
            place += usize::from(if is_true { if_true } else { if_false });
        }
    }

    fn here(call: libc::c_long, argument: u32) -> u32 {
        decide(THIS_ARCHITECTURE, call, argument)
    }

    #[test]
    fn what_is_listed_passes_and_the_rest_does_not() {
        for (name, call) in calls::ALLOWED {
            assert_eq!(here(*call, 0), ALLOW, "{name}");
        }
        for call in [libc::SYS_mount, libc::SYS_bpf, libc::SYS_kexec_load, libc::SYS_keyctl] {
            assert_eq!(here(call, 0), REFUSE | EPERM);
        }
        assert_eq!(here(100_000, 0), REFUSE | EPERM);
    }

    #[test]
    fn arguments_decide_where_they_must() {
        assert_eq!(here(libc::SYS_clone, 17), ALLOW);
        assert_eq!(here(libc::SYS_clone, 0x1000_0011), REFUSE | EPERM);
        assert_eq!(here(libc::SYS_clone3, 0), REFUSE | ENOSYS);
        assert_eq!(here(libc::SYS_socket, 2), ALLOW);
        assert_eq!(here(libc::SYS_socket, AF_VSOCK), REFUSE | EPERM);
        assert_eq!(here(libc::SYS_personality, 8), ALLOW);
        assert_eq!(here(libc::SYS_personality, 0x004_0000), REFUSE | EPERM);
    }

    #[test]
    fn numbers_of_other_architectures_are_unknown() {
        assert_eq!(decide(0x4000_0003, libc::SYS_read, 0), REFUSE | ENOSYS);
        assert_eq!(here(libc::c_long::from(FOREIGN_NUMBERS), 0), REFUSE | ENOSYS);
    }
}
