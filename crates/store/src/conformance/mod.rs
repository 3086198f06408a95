//! The suite that every store must pass, written against [`Store`] alone. A store's tests name a
//! [`Fixture`] and [`conformance_suite!`](crate::conformance_suite) makes one test of each case.
//!
//! The suite reaches every method of the trait. What only one kind of store can go through (its files
//! deleted, its disk full) is tested beside that store.
#![allow(missing_docs, reason = "the cases' names say what they show")]

pub mod commits;
pub mod counts;
pub mod data_keys;
pub mod key_lists;
pub mod keys;
pub mod log;
pub mod many;
pub mod people;
pub mod peppers;
pub mod quotas;
pub mod rates;
pub mod records;
pub mod server;
pub mod sessions;
pub mod usage;
mod world;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use keyward_core::clock::ManualClock;
use keyward_core::log::LogKeys;
use keyward_core::store::Store;

pub use world::World;

/// Short words for changes, for tests beside the suite.
pub mod words {
    pub use super::world::{
        conflict, created_invitation, created_key, created_management_key, created_organization, created_person,
        created_project, invitation_change, key_change, new_data_key_id, new_digest, new_number, person_change,
        project_change, project_ref, revoked_key, revoked_keys,
    };
}

/// How a kind of store is opened for one case.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// Opens the case's store: empty the first time, and as it was left every other time.
    async fn open(&self) -> Arc<dyn Store>;

    /// Ends the store that was opened last, as the end of its process would.
    async fn close(&self);

    /// The keys of the store's log.
    fn log_keys(&self) -> &LogKeys;

    /// The store's clock.
    fn clock(&self) -> &ManualClock;

    /// A folder for the case's own files.
    fn folder(&self) -> PathBuf;
}

/// Makes a test of every case, each with a fixture from the given expression.
#[macro_export]
macro_rules! conformance_suite {
    ($fixture:expr) => {
        $crate::conformance_cases! { $fixture =>
            commits: a_proposal_is_made_whole_and_in_order,
            commits: a_failed_expectation_writes_nothing,
            commits: every_expectation_is_checked,
            commits: a_change_of_something_unknown_is_a_conflict,
            commits: an_id_or_digest_that_is_taken_is_a_conflict,
            commits: a_repeated_request_is_answered_from_the_record,
            commits: callers_never_meet_in_idempotency,
            commits: one_repeated_request_of_many_at_once_is_done_once,
            commits: m2b_racing_creates_stop_exactly_at_the_limit,
            commits: l07_fifty_rotations_at_once_have_one_winner,
            commits: revisions_have_no_gaps_under_concurrency,
            commits: a_caller_who_goes_away_does_not_halve_a_commit,
            commits: the_store_survives_a_restart,
            commits: i04_texts_are_only_ever_texts,
            keys: a_key_is_read_by_digest_with_its_context,
            keys: a_key_passes_through_its_states_as_core_says,
            keys: a_rotation_makes_the_new_key_as_well,
            keys: a_deleted_project_keeps_its_rows,
            keys: live_keys_are_those_that_open,
            keys: lists_filter_by_standing_and_name,
            keys: lists_go_page_by_page_newest_first,
            records: organizations_change_and_are_listed,
            records: projects_change_and_are_listed,
            records: apis_keep_their_first_revision,
            records: management_keys_are_found_rotated_and_listed,
            log: every_change_reads_back_as_it_was_answered,
            log: changes_are_filtered_and_paged,
            log: l14_events_are_changes_without_gaps,
            log: s17_the_chain_and_its_heads_are_checked,
            log: s08_a_backup_is_a_new_whole_file,
            many: l01_many_keys_end_with_one_revision,
            many: a_refused_change_of_many_leaves_nothing,
            many: a_change_of_many_is_found_by_each_of_them,
            many: a_change_of_many_is_an_event_of_each_project_and_key,
            usage: q03_a_batch_counts_once,
            usage: counts_add_up_and_last_use_never_goes_back,
            usage: usage_is_read_by_whole_minutes,
            usage: events_merge_changes_and_uses_newest_first,
            usage: events_are_filtered_by_name_and_key,
            counts: uses_are_counted_by_hour_and_day_and_told_apart,
            counts: q03_counts_stay_exact_although_minutes_are_forgotten,
            counts: old_uses_are_forgotten_in_parts,
            counts: counts_of_hours_are_forgotten_later_than_minutes,
            quotas: q01_units_are_given_once_among_holders_that_spend_and_crash,
            quotas: q01_the_last_units_of_many_asks_at_once,
            quotas: an_exchange_repeated_after_a_lost_answer_gives_nothing_twice,
            quotas: a_lowered_limit_takes_units_back,
            quotas: a_recall_marks_the_others_until_they_exchange,
            quotas: q10_counters_and_periods_have_nothing_in_common,
            quotas: tallies_are_told_in_the_order_asked_for,
            quotas: i03_absurd_numbers_give_nothing_away,
            quotas: tallies_of_old_periods_are_forgotten_when_nobody_holds_any,
            rates: rates_are_kept_and_read_back,
            rates: rates_that_are_full_again_are_forgotten,
            people: a_person_is_found_by_id_address_and_identity,
            people: an_address_or_identity_that_is_taken_is_a_conflict,
            people: people_are_listed_by_organization_and_power,
            people: a_password_is_in_no_log,
            people: expectations_of_people_are_checked,
            people: of_a_hundred_set_ups_at_once_one_wins,
            people: t04_the_last_owner_and_operator_stay_whoever_demotes_whom_at_once,
            people: of_many_with_one_address_at_once_one_is_added,
            people: invitations_are_found_accepted_once_and_listed,
            sessions: w05_sessions_are_kept_listed_and_ended,
            sessions: a_session_is_only_seen_later,
            sessions: nobody_unknown_or_disabled_gets_a_session,
            sessions: t07_what_takes_from_a_person_ends_their_sessions,
            sessions: a_sign_in_link_is_taken_once,
            sessions: sessions_that_ended_are_forgotten_in_parts,
            key_lists: keys_are_sorted_each_way_and_cut_into_parts,
            key_lists: keys_are_searched_by_a_part_of_the_name_and_by_disuse,
            key_lists: live_keys_are_counted,
            key_lists: events_are_cut_by_time,
            data_keys: a_data_key_is_made_rotated_and_shredded,
            data_keys: of_many_first_data_keys_at_once_one_is_made,
            data_keys: c07_no_log_holds_a_data_key,
            data_keys: c04_a_data_key_is_wrapped_anew_where_it_still_stands_so,
            data_keys: a_destination_is_kept_with_its_project,
            peppers: a_key_has_a_digest_for_each_pepper,
            peppers: k05_canaries_tell_which_peppers_keys_hang_on,
            peppers: a_pepper_is_retired_with_what_has_a_newer_digest,
        }
    };
}

/// One test for each case; [`conformance_suite!`](crate::conformance_suite) lists them.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_cases {
    ($fixture:expr => $($module:ident: $case:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            $crate::conformance::$module::$case(&$fixture).await;
        }
    )*};
}
