"""The attacks that others suffered, and where each is shown to fail here.

One entry a family: its name, the advisories, and the tests that are its proof. Families
that no room's own tests prove have theirs in test_attacks.py.
"""

from __future__ import annotations

from typing import Final

FAMILIES: Final[dict[str, tuple[str, list[str]]]] = {
    # -- keys and signatures --
    "default_key": (
        "Superset CVE-2023-27524",
        ["test_config.a_weak_key_is_refused"],
    ),
    "empty_key": (
        "PyJWT CVE-2026-102266, joserfc CVE-2026-49852, python-jose CVE-2026-120459",
        ["test_config.a_weak_key_is_refused", "test_config.a_weak_fallback_is_refused"],
    ),
    "stale_key_signs": (
        "Flask CVE-2025-47278",
        ["test_tokens.the_newest_key_signs_and_all_verify"],
    ),
    "token_picks_its_algorithm": (
        "PyJWT CVE-2017-11424, CVE-2022-29217, Authlib CVE-2024-37568",
        ["test_tokens.what_was_refused_stays_refused"],
    ),
    "unknown_claims_accepted": (
        "PyJWT CVE-2026-32597, Authlib CVE-2025-59420",
        ["test_tokens.no_signed_content_is_read_as_anything_else"],
    ),
    "unsigned_way_in": (
        "Authlib CVE-2026-96760",
        ["test_attacks.no_door_takes_an_altered_token"],
    ),
    "two_parsers": (
        "python-jwt CVE-2022-39227",
        ["test_tokens.the_content_is_not_read_before_the_signature_is_checked"],
    ),
    "comparison_takes_time": (
        "python-jose CVE-2016-7036",
        ["test_lint_rules.no_source_breaks_a_rule"],
    ),
    "any_audience": (
        "Authlib CVE-2026-114618",
        ["test_login.applications_with_one_key_are_strangers"],
    ),
    "documented_hole": (
        "Authlib CVE-2026-116672",
        ["test_readme.the_quickstart_logs_in_and_protects"],
    ),
    "many_spellings": (
        "itsdangerous, which forgives padding and junk",
        ["test_tokens.no_altered_token_verifies"],
    ),
    # -- the life of a token --
    "refresh_after_revocation": (
        "drf-jwt CVE-2020-10594",
        ["test_attacks.nothing_refreshes_what_was_ended"],
    ),
    "purposes_mixed_up": (
        "Flask-JWT-Extended 4.4.0 (#483)",
        [
            "test_sessions.an_access_token_is_no_refresh_token",
            "test_tokens.a_token_verifies_in_its_own_cell_only",
        ],
    ),
    "second_logout_fails": (
        "Flask-JWT-Extended #499, knox #186",
        ["test_attacks.a_logout_may_be_repeated_and_raced"],
    ),
    "disabled_user_gets_in": (
        "simplejwt CVE-2024-22513",
        ["test_login.a_disabled_user_s_token_is_revoked"],
    ),
    "revocation_missed_its_row": (
        "DRF CVE-2026-114137",
        ["test_sessions.a_store_says_what_was_there"],
    ),
    "revocation_swallowed_an_error": (
        "fosite CVE-2020-15223",
        ["test_attacks.a_revocation_without_a_store_is_no_success"],
    ),
    "foreign_session_ended": (
        "fosite #225",
        ["test_attacks.nobody_ends_another_s_session"],
    ),
    "unguarded_mint": (
        "DefectDojo PR #14932",
        ["test_attacks.tokens_are_issued_in_two_rooms_only"],
    ),
    "one_instant_too_long": (
        "knox #389, itsdangerous #429",
        ["test_tokens.a_token_expires_at_its_second"],
    ),
    "sliding_without_end": (
        "knox #311",
        ["test_sessions.a_login_ends_absolutely"],
    ),
    "limit_raced": (
        "knox #391",
        ["test_attacks.parallel_logins_keep_to_the_limit"],
    ),
    "refresh_raced": (
        "Keycloak CVE-2026-1035",
        ["test_sessions.fifty_threads_rotate_once"],
    ),
    "order_judged_by_the_clock": (
        "Keycloak #50999",
        ["test_sessions.twenty_rotations_in_one_second_are_told_apart"],
    ),
    "restart_revives_tokens": (
        "Keycloak CVE-2026-9802",
        ["test_attacks.a_restart_revives_no_token"],
    ),
    "revocation_overtaken_by_a_refresh": (
        "Keycloak #51312",
        ["test_attacks.no_refresh_survives_a_revocation"],
    ),
    "honest_retry_signed_out": (
        "auth-js #213, #1901, #2136",
        [
            "test_sessions.a_retry_in_the_grace_gets_the_same_successor",
            "test_sessions.a_grandparent_is_reuse_even_within_the_grace",
        ],
    ),
    "token_outlives_what_it_was_for": (
        "Devise CVE-2026-32700",
        ["test_purpose_tokens.a_password_change_ends_it"],
    ),
    "empty_token": (
        "Flask-HTTPAuth CVE-2026-34531",
        ["test_attacks.an_empty_token_reaches_no_store"],
    ),
    # -- guessing --
    "enumeration": (
        "FAB CVE-2021-29621, CVE-2022-21659, Django CVE-2016-2513, CVE-2024-39329",
        ["test_credentials.every_failed_login_looks_and_costs_the_same"],
    ),
    "counter_raced": (
        "Devise CVE-2019-5421, Samba CVE-2021-20251, Wazuh CVE-2026-93346",
        ["test_throttle.parallel_guesses_are_all_counted_in_time"],
    ),
    "side_door_without_a_limit": (
        "Keycloak CVE-2026-9798, Django CVE-2025-13473",
        ["test_throttle.a_changed_password_is_an_attempt_like_a_login"],
    ),
    # -- denial of service --
    "long_password": (
        "Django CVE-2013-1443",
        ["test_hostile_bytes.bodies"],
    ),
    "slow_normalisation": (
        "Django CVE-2023-46695",
        ["test_users.a_long_name_is_refused_before_it_is_normalised"],
    ),
    "long_token": (
        "Authlib CVE-2025-61920, golang-jwt CVE-2025-30204",
        ["test_tokens.long_junk_is_refused_at_once", "test_hostile_bytes.headers"],
    ),
    "decompression_bomb": (
        "python-jose CVE-2024-33664, Authlib CVE-2025-62706, go-jose CVE-2024-28180",
        ["test_attacks.nothing_is_decompressed"],
    ),
    "greedy_hash": (
        "a stored hash that asks for 4 GiB",
        ["test_hostile_bytes.stored_hashes_that_ask_for_too_much"],
    ),
    "token_in_the_log": (
        "joserfc CVE-2025-65015",
        ["test_secrecy.an_error_carries_no_token"],
    ),
    "header_parsed_slowly": (
        "Django CVE-2025-14550, Rails CVE-2021-22904, waitress CVE-2020-5236",
        ["test_bearer.a_header_that_no_token_needs_is_refused"],
    ),
    "odd_json": (
        "Flask CVE-2018-1000656, CVE-2019-1010083, Devise CVE-2013-0233",
        ["test_bodies.any_bytes_are_read_or_refused", "test_hostile_bytes.bodies"],
    ),
    "multipart": (
        "Werkzeug CVE-2023-25577, CVE-2023-46136",
        ["test_bodies.a_body_of_another_type_is_refused_unread"],
    ),
    "request_smuggling": (
        "gunicorn CVE-2018-1000164, waitress CVE-2019-16785, CVE-2022-24761",
        ["test_hostile_bytes.a_request_hidden_in_a_body_is_not_answered"],
    ),
    # -- leaks --
    "token_from_a_get": (
        "Flask-Security-Too CVE-2021-21241",
        ["test_attacks.tokens_come_from_a_post_of_json_only"],
    ),
    "cached_answer": (
        "Flask CVE-2023-30861, CVE-2026-27205, FAB CVE-2024-45314",
        ["test_attacks.no_answer_is_cached_or_shared"],
    ),
    "open_redirect": (
        "Flask-Security CVE-2021-23385, CVE-2021-32618, Werkzeug CVE-2020-28724",
        ["test_hostile_bytes.addresses_and_methods"],
    ),
    "hash_answered": (
        "FAB CVE-2022-31177, CVE-2023-34110, Superset CVE-2020-1932",
        ["test_secrecy.no_secret_is_logged_or_answered"],
    ),
    "forged_log_line": (
        "Superset CVE-2021-42250",
        ["test_events.a_name_cannot_forge_a_line"],
    ),
    "foreign_origin": (
        "Flask-CORS CVE-2024-6221, CVE-2020-25032",
        ["test_attacks.no_origin_is_let_in"],
    ),
}
