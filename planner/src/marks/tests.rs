use super::*;
use crate::names::Fingerprint;
use proptest::prelude::*;

fn revision(n: u32) -> RevisionName {
    RevisionName::new(format!("api-{n:010}")).unwrap()
}

fn some_hash(n: u32) -> TemplateHash {
    TemplateHash::of(&n.to_string())
}

fn position() -> impl Strategy<Value = Position> {
    prop_oneof![Just(Position::Deployed), Just(Position::Full), (1..20u32).prop_map(Position::At)]
}

fn news() -> impl Strategy<Value = News> {
    prop_oneof![
        (0..9u32).prop_map(|n| News::Template(some_hash(n))),
        proptest::collection::btree_set(0..99u32, 0..5)
            .prop_map(|set| News::Inputs(set.iter().map(|n| Fingerprint::of(&n.to_string())).collect())),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        stable in proptest::option::of(0..9u32),
        candidate in proptest::option::of((0..9u32, position(), 0..2_000_000_000i64, proptest::option::of(news()))),
        weight in proptest::option::of(0..=100i32), number in 1..99u32,
        failed in proptest::collection::vec((0..99u32, news()), 0..30), owned in any::<bool>(), released in any::<bool>(),
        promoted in proptest::collection::vec((0..9u32, proptest::option::of(0..9u32)), 0..5),
    ) {
        let mut marks = Marks {
            owner: owned.then(|| Owner { name: "shop/api".into(), uid: (!released).then(|| "u-1".into()) }),
            stable: stable.map(revision),
            promoted: promoted.into_iter()
                .map(|(n, t)| PromotedMark {
                    revision: revision(n), template: t.map(some_hash), runs: t.filter(|t| t % 2 == 0).map(some_hash),
                }).collect(),
            adopted: owned.then(|| Timestamp::from_second(i64::from(number)).unwrap()),
            regions: vec![Region::new("us-central1").unwrap()],
            held: stable.map(|n| HeldMark {
                revision: revision(n), template: some_hash(n), since: Timestamp::from_second(i64::from(n)).unwrap(),
            }),
            others: BTreeMap::from([("team".to_string(), "core".to_string())]),
            ..Marks::default()
        };
        for (n, news) in failed {
            marks = marks.with_failed(&ReleaseId { revision: revision(n), number: 1 }, &news);
        }
        marks.last_release = number;
        marks.candidate = candidate.map(|(n, position, s, news)| CandidateMark {
            release: ReleaseId { revision: revision(n), number }, position, weight: weight.map(Percent::clamped),
            at: Timestamp::from_second(s).unwrap(), strategy: Some(some_hash(1)), template: Some(some_hash(2)), news,
        });
        prop_assert_eq!(Marks::read(&marks.write()), marks);
    }
}

fn annotations(marks: &[(&str, &str)]) -> BTreeMap<String, String> {
    marks.iter().map(|(key, value)| (format!("{PREFIX}{key}"), value.to_string())).collect()
}

#[test]
fn marks_of_the_version_before_are_read() {
    let marks = Marks::read(&annotations(&[
        ("owner", "shop/api"),
        ("owner-uid", "u-1"),
        ("stable", "api-aaaaaaaaaa"),
        ("candidate", "api-bbbbbbbbbb"),
        ("step", "2:50@2026-01-01T00:00:00Z"),
        ("failed", "api-cccccccccc,api-dddddddddd"),
    ]));
    assert_eq!(marks.unknown, None);
    let candidate = marks.candidate.unwrap();
    assert_eq!((candidate.release.number, candidate.position), (0, Position::At(2)));
    assert_eq!(marks.failed.len(), 2);
}

#[test]
fn a_mark_that_is_not_understood_is_told_and_not_taken_for_absent() {
    for bad in [
        ("marks", "5"),
        ("adopted", "yesterday"),
        ("promoted", "api-bbbbbbbbbb=bbbbbbbbbb:x"),
        ("held", "api-bbbbbbbbbb"),
        ("step", "smoke-2@2026-01-01T00:00:00Z"),
        ("step", "2:lots@2026-01-01T00:00:00Z"),
        ("failed", "api-x=else:1"),
        ("stable", "Not A Name"),
        ("release", "many"),
    ] {
        let mut all = annotations(&[("candidate", "api-bbbbbbbbbb"), ("step", "full@2026-01-01T00:00:00Z")]);
        all.extend(annotations(&[bad]));
        assert!(Marks::read(&all).unknown.unwrap().contains(bad.0), "{bad:?}");
    }
}
