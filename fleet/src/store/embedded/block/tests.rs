use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Numbers as they come, and the ends of the range, where encodings break.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..2_000_000u64, 2 => any::<u64>(), 1 => Just(0), 1 => Just(u64::MAX)]
}

fn any_row() -> impl Strategy<Value = Row> {
    (number(), vec(number(), 9)).prop_map(|(at, values)| Row {
        at_ms: at.cast_signed(),
        duration_ms: values[0] as u32,
        failure: values[1] as u8,
        health: values[2] as u8,
        cpu: values[3] as u32,
        ram: values[4] as u32,
        net: values[5] as u32,
        receive: values[6],
        transmit: values[7],
        sessions: values[8] as u32,
    })
}

/// A block whose checksum fits `body`, as a bug, not a disk, would leave it.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut block = vec![VERSION];
    block.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
    block.extend_from_slice(body);
    block
}

fn steady(count: i64) -> Vec<Row> {
    (0..count)
        .map(|n| Row {
            at_ms: 1_790_035_200_000 + n * 120_000,
            duration_ms: 12,
            failure: 0,
            health: 1,
            cpu: 2000 + (n * 7919 % 300) as u32,
            ram: 4000,
            net: 900 + (n * 104_729 % 100) as u32,
            receive: 3_000_000 + (n * 7919 % 100_000).cast_unsigned(),
            transmit: 2_000_000 + (n * 104_729 % 100_000).cast_unsigned(),
            sessions: 80,
        })
        .collect()
}

proptest! {
    #[test]
    fn any_rows_round_trip(rows in vec(any_row(), 0..400)) {
        prop_assert_eq!(decode(&encode(&rows).unwrap()).unwrap(), rows);
    }

    #[test]
    fn arbitrary_bytes_are_an_error(bytes in vec(any::<u8>(), 0..600)) {
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn arbitrary_columns_under_a_good_checksum_do_no_harm(count in 0..2000u32, bytes in vec(any::<u8>(), 0..600)) {
        let mut body = count.to_le_bytes().to_vec();
        body.extend_from_slice(&bytes);
        let _ = decode(&sealed(&body));
    }

    #[test]
    fn one_flipped_bit_is_noticed(count in 1..50i64, place in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut block = encode(&steady(count)).unwrap();
        let place = place.index(block.len());
        block[place] ^= 1 << bit;
        prop_assert!(decode(&block).is_err());
    }

    #[test]
    fn a_flipped_bit_under_a_good_checksum_does_no_harm(place in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut body = encode(&steady(300)).unwrap().split_off(5);
        let place = place.index(body.len());
        body[place] ^= 1 << bit;
        let _ = decode(&sealed(&body));
    }

    #[test]
    fn a_block_cut_short_is_noticed(keep in any::<prop::sample::Index>()) {
        let block = encode(&steady(100)).unwrap();
        let short = &block[..keep.index(block.len())];
        prop_assert!(decode(short).is_err());
        prop_assert!(short.len() < 5 || decode(&sealed(&short[5..])).is_err());
    }
}

#[test]
fn counts_are_capped() {
    let body = u32::MAX.to_le_bytes();
    assert!(matches!(decode(&sealed(&body)), Err(BlockError::Count(u32::MAX))));
    let rows = vec![steady(1)[0]; MAX_POINTS + 1];
    assert!(matches!(encode(&rows), Err(BlockError::Count(_))));
    assert_eq!(decode(&encode(&rows[1..]).unwrap()).unwrap().len(), MAX_POINTS);
}

#[test]
fn a_newer_version_is_named() {
    let mut block = encode(&steady(1)).unwrap();
    block[0] = 9;
    assert!(matches!(decode(&block), Err(BlockError::Version(9))));
}

#[test]
fn a_steady_day_takes_less_than_ten_bytes_per_point() {
    let bytes = encode(&steady(720)).unwrap().len();
    assert!(bytes < 720 * 10, "{bytes} bytes");
}
