//! Processes: their streams, terminals, users, signals and ends.

mod lab;

use std::io::{Read, Write};
use std::path::Path;

use hostcompute_supervisor::directory;
use hostcompute_supervisor::launch::{Life, LogBounds};
use hostcompute_supervisor::log::Reader;
use hostcompute_supervisor::message::{
    Cause, Notice, RefusalKind, Request, Size, Status, Stream, Streams,
};
use lab::{Lab, is_possible, process, read, read_until, shell, write};

fn with_lab(test: impl FnOnce(&Lab)) {
    if is_possible() {
        test(&Lab::new());
    }
}

#[test]
fn users_directories_and_environments() {
    with_lab(|lab| {
        let mut system = lab.start(lab.launch("one"));
        for (user, printed) in [
            ("", "uid=0 gid=0 groups=0"),
            ("ann", "uid=1000 gid=1000 groups=77,1000"),
            ("1000:5", "uid=1000 gid=5 groups=5"),
            ("7", "uid=7 gid=0 groups=0"),
        ] {
            let mut launch = shell("echo uid=$(id -u) gid=$(id -g) groups=$(id -G | tr ' ' ,)");
            launch.user = user.into();
            let mut running = system.run(launch).expect("a process");
            let text = read(running.output.take());
            let mut printed_groups: Vec<&str> =
                text.trim().rsplit('=').next().unwrap_or("").split(',').collect();
            printed_groups.sort_by_key(|group| group.parse::<u32>().unwrap_or(0));
            let (head, _) = text.trim().rsplit_once('=').expect("groups");
            assert_eq!(format!("{head}={}", printed_groups.join(",")), printed, "{user}");
        }
        let mut launch = shell("pwd; echo $HOME $MINE; echo ${OTHER:-none}");
        launch.directory = "/tmp".into();
        launch.environment.push(("MINE".into(), "a b".into()));
        let mut running = system.run(launch).expect("a process");
        assert_eq!(read(running.output.take()), "/tmp\n/root a b\nnone\n");
        let mut launch = process(&["echo", "by its other name"]);
        launch.program = Some("/bin/busybox".into());
        let mut running = system.run(launch).expect("a process");
        assert_eq!(read(running.output.take()), "by its other name\n");
    });
}

#[test]
fn what_cannot_be_executed_is_refused() {
    with_lab(|lab| {
        let mut system = lab.start(lab.launch("one"));
        let mut refused = |change: &dyn Fn(&mut hostcompute_supervisor::message::ProcessLaunch)| {
            let mut launch = process(&["true"]);
            change(&mut launch);
            system.run(launch).expect_err("refused").kind
        };
        assert_eq!(
            refused(&|launch| launch.arguments = vec!["nothing".into()]),
            RefusalKind::NoProgram
        );
        assert_eq!(
            refused(&|launch| launch.arguments = vec!["/nothing".into()]),
            RefusalKind::NoProgram
        );
        assert_eq!(
            refused(&|launch| launch.arguments = vec!["/etc/passwd".into()]),
            RefusalKind::NotExecutable
        );
        assert_eq!(
            refused(&|launch| launch.arguments = vec!["/etc".into()]),
            RefusalKind::NotExecutable
        );
        assert_eq!(refused(&|launch| launch.arguments.clear()), RefusalKind::Invalid);
        assert_eq!(refused(&|launch| launch.directory = "/nowhere".into()), RefusalKind::NoPath);
        assert_eq!(refused(&|launch| launch.user = "nobody".into()), RefusalKind::NotFound);
        assert_eq!(refused(&|launch| launch.arguments.push("nul\0".into())), RefusalKind::Invalid);
        assert_eq!(system.prints("echo alive"), "alive\n");
        let unknown = system.ask(Request::Signal { pid: 999, signal: 15 }).expect_err("unknown");
        assert_eq!(unknown.kind, RefusalKind::NoProcess);
    });
}

#[test]
fn long_command_lines_arrive() {
    with_lab(|lab| {
        let mut system = lab.start(lab.launch("one"));
        let long = "x".repeat(100_000);
        let arguments = ["sh", "-c", "echo $# ${#1}", "sh", &long, &long, &long];
        let mut running = system.run(process(&arguments)).expect("a process");
        assert_eq!(read(running.output.take()), "3 100000\n");
    });
}

#[test]
fn signals_end_with_their_number() {
    with_lab(|lab| {
        let mut system = lab.start(lab.launch("one"));
        for signal in [15, 9, 2, 37] {
            let running = system.run(process(&["sleep", "1000"])).expect("a process");
            system.ask(Request::Signal { pid: running.pid, signal }).expect("sent");
            assert_eq!(system.status(running.pid), Status::Killed(signal as u8));
            let gone = system.ask(Request::Signal { pid: running.pid, signal }).expect_err("gone");
            assert_eq!(gone.kind, RefusalKind::ProcessEnded);
        }
        let mut trapped = system
            .run(shell("trap 'exit 4' TERM; echo on; while :; do sleep 0.01; done"))
            .expect("a process");
        read_until(trapped.output.as_mut().expect("output"), "on");
        system.ask(Request::Signal { pid: trapped.pid, signal: 15 }).expect("sent");
        assert_eq!(system.status(trapped.pid), Status::Exited(4));
    });
}

#[test]
fn input_is_read_to_its_end() {
    with_lab(|lab| {
        let mut system = lab.start(lab.launch("one"));
        let mut counter = system.run(process(&["wc", "-c"])).expect("a process");
        let block = vec![b'x'; 1 << 20];
        let mut input = counter.input.take().expect("input");
        for _ in 0..8 {
            input.write_all(&block).expect("written");
        }
        // Closing one's end is what happens to who is killed: the process goes on.
        drop(input);
        let mut second = system.attach(counter.pid).expect("attached");
        write(&mut second.input, "more");
        system.ask(Request::CloseInput { pid: counter.pid }).expect("closed");
        assert_eq!(system.status(counter.pid), Status::Exited(0));
        assert_eq!(read(counter.output.take()), format!("{}\n", (8 << 20) + 4));
    });
}

#[test]
fn terminals_have_a_size_and_an_end() {
    with_lab(|lab| {
        let mut system = lab.start(lab.launch("one"));
        let mut launch = shell(
            "stty size; read x; stty size; test -t 0 && test -t 1 && test -t 2 && echo tty; cat; exit 5",
        );
        launch.terminal = Some(Size { rows: 30, columns: 100 });
        launch.streams = Streams { input: true, output: true, error: false };
        let mut running = system.run(launch).expect("a process");
        let mut output = running.output.take().expect("output");
        read_until(&mut output, "30 100\r\n");
        let size = Size { rows: 50, columns: 132 };
        system.ask(Request::Resize { pid: running.pid, size }).expect("resized");
        write(&mut running.input, "\n");
        read_until(&mut output, "50 132\r\ntty\r\n");
        write(&mut running.input, "echoed\n");
        read_until(&mut output, "echoed\r\nechoed\r\n");
        system.ask(Request::CloseInput { pid: running.pid }).expect("closed");
        assert_eq!(system.status(running.pid), Status::Exited(5));
        let mut rest = String::new();
        output.read_to_string(&mut rest).expect("the end");
        let plain = system.run(process(&["sleep", "1000"])).expect("a process");
        let refused =
            system.ask(Request::Resize { pid: plain.pid, size }).expect_err("no terminal");
        assert_eq!(refused.kind, RefusalKind::Unsupported);
    });
}

#[test]
fn a_flood_arrives_whole() {
    with_lab(|lab| {
        let mut launch = lab.launch("one");
        launch.log = LogBounds { file_bytes: 1 << 20, files: 2 };
        let mut system = lab.start(launch);
        let mut running = system.run(process(&["seq", "1", "2000000"])).expect("a process");
        let output = running.output.take().expect("output");
        let reader = std::thread::spawn(move || {
            use std::io::BufRead;
            let mut next = 1_u64;
            for line in std::io::BufReader::new(output).lines() {
                assert_eq!(line.expect("a line"), next.to_string());
                next += 1;
            }
            next - 1
        });
        assert_eq!(system.status(running.pid), Status::Exited(0));
        assert_eq!(reader.join().expect("read"), 2_000_000);
        // The log has the end of it, and no more than it may.
        let path = system.directory.join(directory::LOG);
        let length = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len());
        assert!(length(&path) <= 1 << 20 && length(&path.with_extension("1")) <= 1 << 20);
        let mut log = Reader::open(path).expect("a log");
        let mut last = Vec::new();
        while let Some(record) = log.read().expect("a record") {
            assert_eq!((record.pid, record.stream), (running.pid, Stream::Output));
            last = record.bytes;
        }
        assert!(last.ends_with(b"2000000\n"));
    });
}

#[test]
fn who_does_not_read_holds_the_process_up_if_it_is_the_first() {
    with_lab(|lab| {
        let mut system = lab.start(lab.launch("one"));
        let mut running = system.run(shell("seq 1 200000; echo done >&2")).expect("a process");
        let mut second = system.attach(running.pid).expect("attached");
        // The second is cut off, the first has everything.
        let mut text = String::new();
        running.output.take().expect("output").read_to_string(&mut text).expect("read");
        assert!(text.ends_with("200000\n"));
        assert_eq!(system.status(running.pid), Status::Exited(0));
        let rest = read(second.output.take());
        assert!(text.ends_with(&rest) || text.contains(&rest));
        assert_eq!(read(running.error.take()), "done\n");
    });
}

#[test]
fn who_comes_later_and_does_not_read_is_cut_off() {
    with_lab(|lab| {
        let mut system = lab.start(lab.launch("one"));
        let mut running = system.run(shell("read x; seq 1 1000000")).expect("a process");
        let second = system.attach(running.pid).expect("attached");
        write(&mut running.input, "\n");
        let mut output = running.output.take().expect("output");
        let reader = std::thread::spawn(move || {
            std::io::copy(&mut output, &mut std::io::sink()).expect("read")
        });
        let pid = running.pid;
        system.wait_for(|notice| {
            (*notice == Notice::ReaderCut { pid, stream: Stream::Output }).then_some(())
        });
        assert_eq!(system.status(pid), Status::Exited(0));
        assert_eq!(reader.join().expect("read"), 6_888_896);
        drop(second);
    });
}

#[test]
fn a_client_that_is_gone_stops_nobody() {
    with_lab(|lab| {
        let mut system = lab.start(lab.launch("one"));
        let mut other = system.connect();
        let running = other.run(shell("seq 1 100000; echo $?")).expect("a process");
        let pid = running.pid;
        drop((other, running));
        assert_eq!(system.status(pid), Status::Exited(0));
        let text = {
            let mut log = Reader::open(system.directory.join(directory::LOG)).expect("a log");
            let mut all = Vec::new();
            while let Some(record) = log.read().expect("a record") {
                all.extend(record.bytes);
            }
            String::from_utf8(all).expect("text")
        };
        assert!(text.ends_with("100000\n0\n"));
    });
}

#[test]
fn an_end_is_told_while_others_hold_the_pipe() {
    with_lab(|lab| {
        let mut system = lab.start(lab.launch("one"));
        let mut running = system.run(shell("sleep 1000 & echo mine")).expect("a process");
        assert_eq!(system.status(running.pid), Status::Exited(0));
        let mut output = running.output.take().expect("output");
        assert_eq!(read_until(&mut output, "mine\n"), "mine\n");
        system.terminate();
        assert_eq!(output.read(&mut [0; 8]).expect("the end"), 0);
    });
}

#[test]
fn shut_down_asks_and_forces_when_it_must() {
    with_lab(|lab| {
        let mut system = lab.start(lab.launch("one"));
        let running = system.run(process(&["sleep", "1000"])).expect("a process");
        system.ask(Request::Shutdown { signal: 15, force_after: None }).expect("asked");
        assert_eq!(system.status(running.pid), Status::Killed(15));
        assert_eq!(system.exit().cause, Cause::ShutDown);
        system.assert_gone();
        let mut system = lab.start(lab.launch("two"));
        let mut deaf = system
            .run(shell("trap '' TERM; echo on; while :; do sleep 1; done"))
            .expect("a process");
        read_until(deaf.output.as_mut().expect("output"), "on");
        system.ask(Request::Shutdown { signal: 15, force_after: Some(50) }).expect("asked");
        assert_eq!(system.exit().cause, Cause::ShutDown);
        system.assert_gone();
        let mut empty = lab.start(lab.launch("three"));
        empty.ask(Request::Shutdown { signal: 15, force_after: None }).expect("asked");
        assert_eq!(empty.exit().cause, Cause::ShutDown);
        empty.assert_gone();
    });
}

#[test]
fn a_system_may_end_with_its_first_process() {
    with_lab(|lab| {
        let mut launch = lab.launch("one");
        launch.life = Life::FirstProcess;
        let mut system = lab.start(launch.clone());
        let running = system.run(shell("sleep 1000 & exit 3")).expect("a process");
        assert_eq!(system.status(running.pid), Status::Exited(3));
        assert_eq!(system.exit().cause, Cause::PoweredOff);
        system.assert_gone();
        let mut system = lab.start(launch);
        let mut running = system
            .run(shell("trap 'exit 9' INT; echo on; while :; do sleep 0.01; done"))
            .expect("a process");
        read_until(running.output.as_mut().expect("output"), "on");
        system.ask(Request::Shutdown { signal: 2, force_after: None }).expect("asked");
        assert_eq!(system.status(running.pid), Status::Exited(9));
        assert_eq!(system.exit().cause, Cause::ShutDown);
        system.assert_gone();
    });
}

#[test]
fn orphans_are_collected() {
    with_lab(|lab| {
        let mut system = lab.start(lab.launch("one"));
        system.prints("(sleep 0.01 &) ; (true &); true");
        system.prints("sleep 0.1");
        assert_eq!(
            system.prints("grep -l '^State:.Z' /proc/[0-9]*/status | wc -l"),
            "0\n",
            "no zombies"
        );
    });
}

#[test]
fn a_leash_holds() {
    with_lab(|lab| {
        let mut system = lab.start(lab.launch("one"));
        let mut holder = system.connect();
        holder.ask(Request::Leash).expect("held");
        drop(holder);
        assert_eq!(system.exit().cause, Cause::LastHandleClosed);
        system.assert_gone();
    });
}

#[test]
fn nonsense_harms_nobody() {
    with_lab(|lab| {
        let mut system = lab.start(lab.launch("one"));
        for nonsense in [&b"J{}"[..], b"M", b"", b"Jnull", b"x"] {
            let other = system.connect();
            let _ = rustix::io::write(&other.socket, nonsense);
            drop(other);
        }
        assert_eq!(system.prints("echo alive"), "alive\n");
    });
}
