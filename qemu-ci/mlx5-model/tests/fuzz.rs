// SPDX-License-Identifier: GPL-2.0

//! Bounded fuzzing of everything that reads what a guest or a peer wrote:
//! commands, doorbells, descriptors, frames, control requests. The seed is
//! fixed unless MLX5_FUZZ_SEED is set; MLX5_FUZZ_ROUNDS makes it longer.

mod common;

use common::*;
use mlx5_model::bits::{set, View, F};
use mlx5_model::device::Event;
use mlx5_model::front::Front;
use mlx5_model::ifc::*;
use mlx5_model::packet::{headers, Packet};
use mlx5_model::steer::{modify, params};
use mlx5_model::vfio_user::{serve, Dma, Guest, Irqs};
use mlx5_model::{cmd, control, decode, tx};
use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

/// xorshift64*.
struct Random(u64);

impl Random {
    fn new(stream: u64) -> Self {
        let seed = std::env::var("MLX5_FUZZ_SEED")
            .ok()
            .and_then(|s| s.parse().ok())
            .unwrap_or(1u64);
        Self(((seed << 8) | stream).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// Mostly zeros, so that reserved fields do not hide everything else.
    fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n)
            .map(|_| {
                if self.below(4) == 0 {
                    self.next() as u8
                } else {
                    0
                }
            })
            .collect()
    }
}

fn rounds(default: u64) -> u64 {
    std::env::var("MLX5_FUZZ_ROUNDS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(default)
}

#[test]
fn commands() {
    let mut r = Random::new(1);
    let memory = Memory::new(1 << 16);
    let mut dev = device(&memory);
    make_vports(&mut dev);
    let mut refused = 0;
    let n = rounds(30_000);
    for round in 0..n {
        let (op, name) = OPCODES[r.below(OPCODES.len())];
        let size = decode::find(&name.to_lowercase(), "in").map_or(64, |d| d.bits / 8);
        let len = if r.below(3) == 0 {
            8 + r.below(size + 64)
        } else {
            size + r.below(64)
        };
        let mut b = r.bytes(len);
        // Small numbers find existing handles.
        for at in (8..len.saturating_sub(4)).step_by(4) {
            if r.below(2) == 0 {
                set(&mut b, F::new(at * 8, 32), r.next() % 6);
            }
        }
        set(&mut b, F::new(0, 16), op);
        // Reserved bits are refused before anything else is looked at.
        if r.below(8) != 0 {
            decode::clear_reserved(&name.to_lowercase(), &mut b);
        }
        let mut out = vec![0; 8 + r.below(2000)];
        if let Some(out) = cmd::execute(&mut dev, &b, &mut out) {
            refused += u64::from(out[0] != 0);
        }
        let _ = decode::fields(&b, "in", &b);
        if round % 64 == 0 {
            let port = r.below(5);
            let d = r.bytes(80);
            dev.from_port(port, d);
        }
    }
    assert!(
        refused > n / 4,
        "{refused} of {n} refused: strange commands pass"
    );
    assert!(refused < n, "everything was refused: nothing was tried");
}

#[test]
fn the_command_queue_and_doorbells() {
    let mut r = Random::new(2);
    let memory = Memory::new(1 << 16);
    let mut dev = device(&memory);
    for _ in 0..rounds(3_000) {
        dev.regs
            .cmdq
            .store((r.next() % (1 << 16)) & !0xfff, Relaxed);
        let junk = r.bytes(4096);
        memory.put(r.below((1 << 16) - 4096), &junk);
        dev.handle(Event::Command(r.next() as u32));
        for _ in 0..8 {
            let e = Event::Doorbell {
                page: r.below(8) as u32,
                at: [0x20, 0x40, 0x48, 0x800, 0x900, 0][r.below(6)],
                data: r.next() % (1 << 34),
                wide: r.below(2) == 0,
            };
            dev.handle(e);
        }
        if r.below(100) == 0 {
            dev.handle(Event::Reset);
        }
    }
}

#[test]
fn send_entries() {
    let mut r = Random::new(3);
    for _ in 0..rounds(100_000) {
        let n = r.below(20) * 16;
        let w = r.bytes(n);
        let _ = tx::parse(&w, r.below(2) == 0);
    }
}

#[test]
fn queues_in_guest_memory() {
    let mut r = Random::new(6);
    let memory = Memory::new(1 << 16);
    let mut sent = 0;
    let mut received = 0;
    for round in 0..rounds(3_000) {
        let mut dev = device(&memory);
        let q = queues(&mut dev);
        let junk = r.bytes(3 * 4096);
        memory.put(SQ, &junk);
        for i in 0..ENTRIES as usize {
            // Mostly an entry of the right queue and number, with a valid key and
            // buffers that can be inside memory.
            let at = SQ + i * 64;
            let op = [0x0a, 0x0a, 0x0e, 0, 0x33][r.below(5)];
            memory.put(at, &(((i as u32) << 8) | op).to_be_bytes());
            let ds = 2 + r.below(6) as u32;
            memory.put(at + 4, &(((q.sqn as u32) << 8) | ds).to_be_bytes());
            for seg in [SQ, RQ] {
                for n in 0..4 {
                    let at = seg + i * 64 + n * 16;
                    if r.below(4) != 0 && (seg == RQ || n >= 2) {
                        memory.put(at, &(r.below(3000) as u32).to_be_bytes());
                        memory.put(at + 4, &((q.mkey as u32) << 8).to_be_bytes());
                        memory.put(at + 8, &(r.next() % (1 << 17)).to_be_bytes());
                    }
                }
            }
        }
        memory.put(WQ_DBR, &(r.below(ENTRIES as usize) as u32).to_be_bytes());
        memory.put(
            WQ_DBR + 4,
            &(r.below(ENTRIES as usize) as u32).to_be_bytes(),
        );
        memory.put(CQ_DBR, &(r.next() as u32 % 128).to_be_bytes());
        dev.handle(Event::Doorbell {
            page: q.uar as u32,
            at: 0x800,
            data: q.sqn << 8,
            wide: true,
        });
        for _ in 0..r.below(20) {
            let n = r.below(2000);
            let data = r.bytes(n);
            let p = Packet {
                data,
                ..Packet::default()
            };
            mlx5_model::rx::deliver(&mut dev, q.tirn as u32, p);
        }
        sent += dev.ports[0].received.packets;
        received += dev.received.len();
        if round % 2 == 0 {
            dev.handle(Event::Doorbell {
                page: q.uar as u32,
                at: 0x20,
                data: r.next(),
                wide: true,
            });
        }
    }
    assert!(sent > 0 && received > 0, "{sent} sent, {received} received");
}

#[test]
fn messages_of_a_client() {
    let mut r = Random::new(7);
    let guest = Arc::new(Guest {
        dma: Dma::default(),
        irqs: Irqs::new(8),
    });
    let (tx, events) = std::sync::mpsc::channel();
    let front = Front::new(Arc::default(), tx);
    for _ in 0..rounds(300) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut out = Vec::new();
        for id in 0..r.below(20) as u16 {
            let n = r.below(80);
            let mut body = r.bytes(n);
            // Small numbers are regions, indices and sizes that there are.
            for at in (0..n.saturating_sub(4)).step_by(4) {
                if r.below(2) == 0 {
                    body[at..at + 4].copy_from_slice(&(r.below(16) as u32).to_le_bytes());
                }
            }
            let size = match r.below(20) {
                0 => r.next() as u32,
                1 => r.below(64) as u32,
                _ => 16 + n as u32,
            };
            out.extend(id.to_le_bytes());
            out.extend((r.below(18) as u16).to_le_bytes());
            out.extend(size.to_le_bytes());
            out.extend((r.below(2) as u32 * 16).to_le_bytes());
            out.extend([0; 4]);
            out.extend(body);
        }
        (&ours).write_all(&out).unwrap();
        ours.shutdown(std::net::Shutdown::Write).unwrap();
        // The answers must be read, or both would wait.
        let reader = std::thread::spawn(move || std::io::copy(&mut &ours, &mut std::io::sink()));
        drop(serve(&theirs, &guest, &front));
        drop(theirs);
        drop(reader.join().unwrap());
        guest.irqs.reset();
        guest.dma.clear();
        while events.try_recv().is_ok() {}
    }
}

#[test]
fn frames_and_rewrites() {
    let mut r = Random::new(4);
    let ports = BTreeSet::from([4789, 0]);
    for _ in 0..rounds(50_000) {
        let n = r.below(160);
        let mut d = r.bytes(n);
        let kind = [[8, 0], [0x86, 0xdd], [0x81, 0], [0x88, 0xa8], [8, 6]][r.below(5)];
        for (at, b) in kind.iter().enumerate() {
            if let Some(x) = d.get_mut(12 + at) {
                *x = *b;
            }
        }
        if let Some(x) = d.get_mut(14) {
            *x = [0x45, 0x60, 0x4f, 0][r.below(4)];
        }
        let _ = headers(&d, &ports);
        let mut p = Packet {
            data: d.clone(),
            ..Packet::default()
        };
        let _ = params::of(&p, &ports, 1);
        let mut program = modify::Program::default();
        for _ in 0..4 {
            let mut a = r.bytes(8);
            set(&mut a, set_action_in::ACTION_TYPE, 1 + r.next() % 3);
            set(&mut a, set_action_in::FIELD, r.next() % 0x60);
            program.steps.extend(modify::parse(View(&a)));
        }
        modify::run(&program, &mut p);
        assert_eq!(p.data.len(), d.len());
        let _ = tx::segment(&d, r.below(80), 1 + r.below(64), &ports);
    }
}

#[test]
fn control_requests() {
    let mut r = Random::new(5);
    let memory = Memory::new(4096);
    let mut dev = device(&memory);
    let words = [
        "gen", "port", "cmd", "vf0", "send", "hex", "fault", "kind", "late", "size", "60", "-1",
        "0x", "mac", "count",
    ];
    for _ in 0..rounds(5_000) {
        let mut m = serde_json::Map::new();
        for _ in 0..r.below(6) {
            let k = words[r.below(words.len())];
            let v = words[r.below(words.len())];
            m.insert(
                k.into(),
                if r.below(3) == 0 {
                    (r.next() % 100).into()
                } else {
                    v.into()
                },
            );
        }
        let answer = control::run(&mut dev, &m.into());
        assert!(answer.get("ok").is_some());
    }
}
