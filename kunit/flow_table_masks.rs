// SPDX-License-Identifier: GPL-2.0

//! The flow table with many masks: the tree of masks finds what trying all of
//! them finds.

use kernel::prelude::*;

#[kunit_tests(openvswitch_flow_table_masks)]
mod tests {
    use super::*;

    use core::sync::atomic::{
        AtomicBool,
        AtomicU32,
        Ordering, //
    };

    use kernel::{
        time::{
            delay::fsleep,
            Delta, //
        },
        workqueue, //
    };
    use zerocopy::network_endian::U32 as Be32;

    use kernel_ext::sync::{
        bh::BhGuard,
        rcu::RcuArc,
        rcu_cell::RcuBox, //
    };

    use crate::{
        actions::SwFlowActions,
        datapath::state::ovs_lock,
        flow::{
            tunnel::MatchKey,
            SwFlowId, //
        },
        flow_table::FlowTable, //
    };

    fn insert(table: &FlowTable, key: &MatchKey, mask: &MatchKey, id: u32) -> Result {
        let actions = RcuBox::new(SwFlowActions::new(0, KVec::new()), GFP_KERNEL)?;
        table.insert(&ovs_lock(), key, mask, ufid(id)?, actions)?;
        Ok(())
    }

    fn remove(table: &FlowTable, id: u32) -> Result {
        table.take_id(&ovs_lock(), &ufid(id)?).ok_or(ENOENT)?;
        Ok(())
    }

    fn ufid(i: u32) -> Result<SwFlowId> {
        SwFlowId::ufid(&u128::from(i).to_ne_bytes()).ok_or(EINVAL)
    }

    /// The number in the UFID of the flow that a packet with this key matches, and
    /// how many masks were tried.
    fn looks(table: &FlowTable, key: &MatchKey) -> (Option<u32>, u32) {
        let guard = BhGuard::new();
        let found = table.lookup(guard.proof(), key.as_ref());
        let id = found.flow.and_then(|flow| {
            let bytes = flow.id().as_ufid()?.first_chunk()?;
            Some(u32::from_ne_bytes(*bytes))
        });
        (id, found.n_mask_hit)
    }

    /// Numbers that are the same in each run.
    struct Random(u64);

    impl Random {
        fn below(&mut self, n: u32) -> u32 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((self.0 >> 33) as u32).checked_rem(n).unwrap_or(0)
        }

        fn one_of<const N: usize>(&mut self, all: [u32; N]) -> u32 {
            all.get(self.below(N as u32) as usize).copied().unwrap_or(0)
        }

        /// A mask of one to `bits` upper bits of `bits`, or of none.
        fn prefix(&mut self, bits: u32) -> u32 {
            let len = self.below(bits + 1);
            u32::MAX.checked_shl(bits - len).unwrap_or(0) & (u32::MAX >> (32 - bits))
        }

        /// A mask that differs from others in any of the parts.
        fn mask(&mut self) -> MatchKey {
            let mut mask = MatchKey::zeroed();
            mask.recirc_id = self.one_of([u32::MAX, u32::MAX, u32::MAX, 0]);
            mask.in_port = 0xffff;
            mask.eth_type = 0xffff.into();
            if self.below(2) == 0 {
                mask.ipv4_src = Be32::new(self.prefix(32));
            }
            mask.ipv4_dst = Be32::new(self.one_of([0, u32::MAX, 0xff]));
            mask.tp_src = (self.prefix(16) as u16).into();
            mask.tp_dst = (self.one_of([0, 0xffff, 3]) as u16).into();
            mask.eth_src = [self.one_of([0, 0, 0xff]) as u8; 6];
            mask.ct_state = self.one_of([0, 0, 0x21, 0xff]) as u8;
            mask.ip_proto = self.one_of([0, 0xff]) as u8;
            let nothing = mask.ipv6_src;
            mask.ipv6_src = match self.below(8) {
                0 => [0xff; 16],
                _ => nothing,
            };
            if self.below(8) == 0 {
                mask.tun.tun_opts_len = 0xff;
            }
            mask
        }

        /// A key of few values, so that many match.
        fn key(&mut self) -> MatchKey {
            let mut key = MatchKey::zeroed();
            key.recirc_id = self.below(4);
            key.in_port = 1 + self.below(2) as u16;
            key.eth_type = 0x0800.into();
            key.ipv4_src = Be32::new(self.one_of([0, 1, 0x8000_0000, 0xc0a8_0101]));
            key.ipv4_dst = Be32::new(self.below(4));
            key.tp_src = (self.one_of([0, 1, 0x8000, 0xffff]) as u16).into();
            key.tp_dst = (self.below(4) as u16).into();
            key.eth_src = [self.below(2) as u8; 6];
            key.ct_state = self.one_of([0, 0x21]) as u8;
            key.ip_proto = self.one_of([6, 17]) as u8;
            key.ipv6_src = [self.below(2) as u8; 16];
            key.tun.tun_opts_len = self.below(2) as u8;
            key
        }
    }

    /// A flow as the other search has it.
    struct Model {
        id: u32,
        key: KBox<MatchKey>,
        mask: KBox<MatchKey>,
    }

    impl Model {
        fn new(id: u32, key: &MatchKey, mask: &MatchKey) -> Result<Self> {
            Ok(Model {
                id,
                key: KBox::new(*key, GFP_KERNEL)?,
                mask: KBox::new(*mask, GFP_KERNEL)?,
            })
        }

        fn matches(&self, key: &MatchKey) -> bool {
            let words = key.words().iter().zip(self.key.words());
            words
                .zip(self.mask.words())
                .all(|((a, b), mask)| (a ^ b) & mask == 0)
        }

        fn is(&self, key: &MatchKey, mask: &MatchKey) -> bool {
            self.matches(key) && *self.mask == *mask
        }
    }

    /// Of `n` keys, how many the table finds a wrong flow for, or none; with how
    /// many there was one to find.
    fn wrong(table: &FlowTable, flows: &[Model], random: &mut Random, n: u32) -> (u32, u32) {
        let (mut wrong, mut found) = (0, 0);
        for _ in 0..n {
            let key = random.key();
            let right = match looks(table, &key).0 {
                Some(id) => flows.iter().any(|f| f.id == id && f.matches(&key)),
                None => !flows.iter().any(|f| f.matches(&key)),
            };
            wrong += u32::from(!right);
            found += u32::from(flows.iter().any(|f| f.matches(&key)));
            // For commands as for packets.
            let there = table.lookup_key(&ovs_lock(), &key).is_some();
            wrong += u32::from(there != flows.iter().any(|f| f.matches(&key)));
        }
        (wrong, found)
    }

    #[test]
    fn the_tree_finds_what_trying_all_masks_finds() -> Result {
        let table = KBox::init(FlowTable::init(), GFP_KERNEL)?;
        let mut random = Random(1);
        let mut flows = KVec::new();
        let (mut id, mut found) = (0, 0);
        // Up to many masks, down to few, and up again; with the cache and without.
        for (round, most) in [40, 400, 800, 10, 300, 0].into_iter().enumerate() {
            table.masks_cache_resize(if round % 2 == 0 { 0 } else { 256 })?;
            while flows.len() < most {
                let (key, mask) = (random.key(), random.mask());
                if flows.iter().any(|f: &Model| f.is(&key, &mask)) {
                    continue;
                }
                id += 1;
                insert(&table, &key, &mask, id)?;
                flows.push(Model::new(id, &key, &mask)?, GFP_KERNEL)?;
                let looked = wrong(&table, &flows, &mut random, 4);
                assert_eq!(looked.0, 0);
                // One comes and goes, so that masks do.
                if id % 3 == 0 && flows.len() > 1 {
                    let place = random.below(flows.len() as u32) as usize;
                    remove(&table, flows.remove(place).map_err(|_| EINVAL)?.id)?;
                }
            }
            while flows.len() > most {
                let place = random.below(flows.len() as u32) as usize;
                remove(&table, flows.remove(place).map_err(|_| EINVAL)?.id)?;
                let looked = wrong(&table, &flows, &mut random, 1);
                assert_eq!(looked.0, 0);
            }
            let looked = wrong(&table, &flows, &mut random, 500);
            assert_eq!(looked.0, 0);
            found += looked.1;
        }
        // Otherwise this says little.
        assert!(found > 500);
        table.flush(&ovs_lock());
        Ok(())
    }

    /// The flows of ovs-vswitchd for packets that differ from what is allowed in
    /// a bit of each of three fields.
    fn attack(i: u32) -> (MatchKey, MatchKey) {
        let mut key = MatchKey::zeroed();
        key.in_port = 1;
        key.eth_type = 0x0800.into();
        let mut mask = MatchKey::zeroed();
        mask.recirc_id = u32::MAX;
        mask.in_port = 0xffff;
        mask.eth_type = 0xffff.into();
        let field = |bits: u32, len: u32| {
            let shift = bits - 1 - len;
            (1u32 << shift, (u32::MAX >> (32 - bits)) >> shift << shift)
        };
        let (value, bits) = field(16, i % 16);
        key.tp_dst = (value as u16).into();
        mask.tp_dst = (bits as u16).into();
        let (value, bits) = field(16, i / 16 % 16);
        key.tp_src = (value as u16).into();
        mask.tp_src = (bits as u16).into();
        let (value, bits) = field(32, i / 256 % 32);
        key.ipv4_src = Be32::new(value);
        mask.ipv4_src = Be32::new(bits);
        (key, mask)
    }

    #[test]
    fn a_packet_tries_few_of_many_masks() -> Result {
        const MASKS: u32 = 4096;
        let table = KBox::init(FlowTable::init(), GFP_KERNEL)?;
        // Only the tree.
        table.masks_cache_resize(0)?;
        for i in 0..MASKS {
            let (key, mask) = attack(i);
            insert(&table, &key, &mask, i)?;
        }
        let (mut wrong, mut tried) = (0, 0);
        for i in 0..MASKS {
            let (key, _) = attack(i);
            let (found, masks) = looks(&table, &key);
            wrong += u32::from(found != Some(i));
            tried += masks;
        }
        assert_eq!(wrong, 0);
        // Where all are tried it is 2,048 on average.
        assert!(tried / MASKS <= 40);
        // What matches nothing.
        let (mut none, _) = attack(0);
        none.in_port = 2;
        assert_eq!(looks(&table, &none), (None, 0));
        table.flush(&ovs_lock());
        Ok(())
    }

    #[test]
    fn each_recirculation_id_tries_its_own_masks() -> Result {
        const IDS: u32 = 50;
        let table = KBox::init(FlowTable::init(), GFP_KERNEL)?;
        table.masks_cache_resize(0)?;
        let flow = |id: u32, i: u32| {
            let mut key = MatchKey::zeroed();
            key.recirc_id = id;
            key.in_port = 1;
            key.eth_type = 0x0800.into();
            key.skb_mark = 1 << i;
            key.ipv4_dst = Be32::new(i);
            let mut mask = MatchKey::zeroed();
            mask.recirc_id = u32::MAX;
            mask.in_port = 0xffff;
            mask.eth_type = 0xffff.into();
            mask.skb_mark = 1 << i | id << 8;
            mask.ipv4_dst = Be32::new(u32::MAX >> (id % 3));
            (key, mask)
        };
        for id in 0..IDS {
            for i in 0..=id % 5 {
                let (key, mask) = flow(id, i);
                insert(&table, &key, &mask, id * 8 + i)?;
            }
        }
        // A tree that has all of them.
        let mut most = 0;
        for id in 0..IDS {
            for i in 0..=id % 5 {
                let (found, masks) = looks(&table, &flow(id, i).0);
                assert_eq!(found, Some(id * 8 + i));
                most = most.max(masks);
            }
        }
        assert!(most <= 10);
        table.flush(&ovs_lock());
        Ok(())
    }

    /// What a lookup that runs all the while has seen.
    struct Looking {
        table: FlowTable,
        stop: AtomicBool,
        ended: AtomicBool,
        rounds: AtomicU32,
        wrong: AtomicU32,
    }

    /// Flows that stay.
    const STAYING: u32 = 64;

    impl Looking {
        fn run(&self) {
            while !self.stop.load(Ordering::Acquire) {
                for i in 0..STAYING {
                    let right = looks(&self.table, &attack(i * 61).0).0 == Some(i * 61);
                    self.wrong.fetch_add(u32::from(!right), Ordering::Relaxed);
                }
                self.rounds.fetch_add(1, Ordering::Release);
                fsleep(Delta::from_micros(10));
            }
            self.ended.store(true, Ordering::Release);
        }
    }

    #[test]
    fn no_packet_misses_its_flow_while_masks_change() -> Result {
        let looking = RcuArc::init::<Error>(
            try_init!(Looking {
                table <- FlowTable::init(),
                stop: AtomicBool::new(false),
                ended: AtomicBool::new(false),
                rounds: AtomicU32::new(0),
                wrong: AtomicU32::new(0),
            }? Error),
            GFP_KERNEL,
        )?;
        let table = &looking.table;
        table.masks_cache_resize(0)?;
        for i in 0..STAYING {
            let (key, mask) = attack(i * 61);
            insert(table, &key, &mask, i * 61)?;
        }
        let worker = looking.clone();
        workqueue::system_unbound().try_spawn(GFP_KERNEL, move || worker.run())?;
        // Masks come and go: the tree grows, is built anew, and shrinks.
        let others = || (0..STAYING * 61).filter(|i| i % 61 != 0);
        let change = || -> Result {
            for round in 1..5 {
                let some = || others().filter(move |i| i % round == 0);
                for i in some() {
                    let (key, mask) = attack(i);
                    insert(table, &key, &mask, i)?;
                    // What was put in is found, as of now.
                    if looks(table, &key).0 != Some(i) {
                        return Err(ENOENT);
                    }
                }
                fsleep(Delta::from_micros(100));
                for i in some() {
                    remove(table, i)?;
                    if looks(table, &attack(i).0).0.is_some() {
                        return Err(EEXIST);
                    }
                }
            }
            Ok(())
        };
        let changed = change();
        while looking.rounds.load(Ordering::Acquire) < 20 {
            fsleep(Delta::from_millis(1));
        }
        looking.stop.store(true, Ordering::Release);
        while !looking.ended.load(Ordering::Acquire) {
            fsleep(Delta::from_millis(1));
        }
        assert_eq!(looking.wrong.load(Ordering::Relaxed), 0);
        table.flush(&ovs_lock());
        changed
    }
}
