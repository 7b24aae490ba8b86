//! What a crontab file means, line by line.

use super::{Crontab, Form, Place, Refusal, parse};

/// Knows one wrong field, `99`, and one zone too few.
fn validate(expression: &str, zone: &str) -> Result<(), Refusal> {
    if zone == "Mars/Phobos" {
        let why = "no such zone".to_owned();
        return Err(Refusal { offset: None, why });
    }
    match expression.find("99") {
        None => Ok(()),
        offset => Err(Refusal {
            offset,
            why: "99 is too much".to_owned(),
        }),
    }
}

fn user(text: &str) -> Crontab {
    parse(text, Form::User, "UTC", validate)
}

fn system(text: &str) -> Crontab {
    parse(text, Form::System, "UTC", validate)
}

fn ids(found: &Crontab) -> Vec<&str> {
    found.entries.iter().map(|entry| &*entry.timer_id).collect()
}

fn problem(found: &Crontab) -> String {
    assert!(found.entries.is_empty(), "{found:?}");
    let [problem] = &found.problems[..] else {
        panic!("one problem is expected: {found:?}");
    };
    problem.to_string()
}

#[test]
fn a_line_is_a_schedule_and_a_command() {
    let found = user("  */5\t*  * * MON   /usr/bin/backup  --all  \r\n");
    assert!(found.problems.is_empty() && found.notes.is_empty());
    let entry = &found.entries[0];
    assert_eq!(entry.expression, "*/5 * * * MON");
    assert_eq!(entry.command, "/usr/bin/backup  --all");
    assert_eq!((&*entry.zone, &entry.user), ("UTC", &None));
    assert_eq!(entry.place, Place { line: 1, column: 3 });
}

#[test]
fn a_macro_stands_for_the_fields() {
    let found = user("@daily echo a\n@Hourly\techo b");
    let schedules: Vec<_> = found.entries.iter().map(|it| &*it.expression).collect();
    assert_eq!(schedules, ["@daily", "@Hourly"]);
    assert_eq!(found.entries[1].command, "echo b");
}

#[test]
fn the_system_form_has_a_user() {
    let found = system("0 4 * * * root /etc/cron.daily\n@weekly www-data sh -c 'x'\n");
    let users: Vec<_> = found.entries.iter().map(|it| it.user.as_deref()).collect();
    assert_eq!(users, [Some("root"), Some("www-data")]);
    assert_eq!(found.entries[1].command, "sh -c 'x'");
    assert_eq!(
        problem(&system("0 4 * * * root")),
        "1:15: a command is missing"
    );
}

#[test]
fn a_system_crontab_read_as_a_user_crontab_is_pointed_out() {
    let found = user("0 4 * * * root /etc/cron.daily");
    assert!(
        found.notes[0].to_string().starts_with("1:11: "),
        "{found:?}"
    );
    assert!(found.notes[0].text.contains("--system"));
}

#[test]
fn comments_and_blank_lines_count_as_lines_only() {
    let found = user("\u{feff}# a comment\n\n   \t\n  # another\n0 0 * * * echo # not a comment\n");
    assert_eq!(found.entries.len(), 1);
    assert_eq!(found.entries[0].place.line, 5);
    assert_eq!(found.entries[0].command, "echo # not a comment");
}

#[test]
fn a_zone_holds_from_its_line_on() {
    let found = user(
        "0 0 * * * a\nCRON_TZ = \"Europe/Berlin\"\n0 0 * * * b\nCRON_TZ=Asia/Tokyo\n0 0 * * * c\nCRON_TZ=\n0 0 * * * d\n",
    );
    let zones: Vec<_> = found.entries.iter().map(|it| &*it.zone).collect();
    assert_eq!(zones, ["UTC", "Europe/Berlin", "Asia/Tokyo", "UTC"]);
    assert_eq!(problem(&user(" CRON_TZ=Mars/Phobos")), "1:10: no such zone");
}

#[test]
fn other_variables_are_ignored_with_a_note() {
    let found = user(
        "MAILTO=\"\"\nPATH = /bin:/usr/bin\n'SHELL'=/bin/bash\nTZ=UTC\nX_1==\n0 0 * * * A=1 env\n",
    );
    assert_eq!(
        found.entries.len(),
        1,
        "an assignment in a command is none of ours"
    );
    let notes: Vec<_> = found.notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes.len(), 5);
    for (note, begin) in notes.iter().zip([
        "1:1: MAILTO",
        "2:1: PATH",
        "3:1: SHELL",
        "4:1: TZ",
        "5:1: X_1",
    ]) {
        assert!(note.starts_with(begin), "{note}");
    }
    assert!(notes[3].contains("CRON_TZ"));
}

#[test]
fn percent_signs_must_be_escaped() {
    let found = user(r"0 0 * * * date +\%F\%T \n \\%");
    assert_eq!(found.entries[0].command, r"date +%F%T \n \%");
    let text = problem(&user("0 0 * * * mail -s hi a@b%Hello%"));
    assert!(text.starts_with("1:25: ") && text.contains(r"\%"), "{text}");
}

#[test]
fn a_start_of_the_machine_is_no_time() {
    let text = problem(&user("  @reboot /usr/bin/daemon"));
    assert!(
        text.starts_with("1:3: @reboot cannot be imported"),
        "{text}"
    );
}

#[test]
fn a_problem_names_line_and_column_and_the_others_are_read_all_the_same() {
    let found = user("0 0 * * * a\n 0  99 * * * b\n0 0 *\n* * * * *\n@daily\n0 0 * * * c");
    assert_eq!(found.entries.len(), 2);
    let problems: Vec<_> = found.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "2:5: 99 is too much",
            "3:5: five fields and a command are expected; here are 3 fields",
            "4:10: a command is missing",
            "5:7: a command is missing",
        ]
    );
}

#[test]
fn columns_are_counted_in_characters() {
    let text = problem(&user("0 0 * * * écho é 100%"));
    assert!(text.starts_with("1:21: "), "{text}");
    assert_eq!(
        problem(&user("0 0 * * * a\0b")),
        r"1:12: the command has the character '\0'"
    );
}

#[test]
fn a_leading_minus_is_ignored_with_a_note() {
    let found = system("-*/15 * * * * root run\n");
    assert_eq!(found.entries[0].expression, "*/15 * * * *");
    assert_eq!(found.entries[0].place.column, 2);
    assert_eq!(found.notes.len(), 1);
}

#[test]
fn ids_stay_when_other_lines_move() {
    let (a, b) = ("0 0 * * * /usr/bin/Backup --all", "*/5 * * * * echo hi");
    let one = user(&format!("{a}\n{b}\n"));
    let other = user(&format!("# new\n{b}\n\n1 1 * * * new\n{a}"));
    assert_eq!(ids(&one)[0], ids(&other)[2]);
    assert_eq!(ids(&one)[1], ids(&other)[0]);
    assert!(ids(&one)[0].starts_with("backup-all-"), "{:?}", ids(&one));
    // Known for ever: a change of the hash would orphan every imported timer.
    assert_eq!(ids(&one)[1], "echo-hi-76bbaeff");
}

#[test]
fn ids_differ_whenever_the_entries_do() {
    let found = user(
        "0 0 * * * run\n0 1 * * * run\n0 0 * * * run now\nCRON_TZ=Asia/Tokyo\n0 0 * * * run\n",
    );
    let mut found_ids = ids(&found);
    found_ids.sort_unstable();
    found_ids.dedup();
    assert_eq!(found_ids.len(), 4, "{found:?}");
    let twice = user("0 0 * * * run\n0 0   * * *   run\n");
    assert_eq!(ids(&twice)[1], format!("{}-2", ids(&twice)[0]));
}

#[test]
fn ids_are_well_formed_whatever_the_command() {
    for command in [
        "/",
        "...",
        "é",
        "a",
        &"x y/".repeat(500),
        "cd /srv/app && ./run.sh --über",
        "-",
    ] {
        let found = user(&format!("@daily {command}\n@daily {command}"));
        for id in ids(&found) {
            let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            assert!(
                id.len() <= 63 && id.chars().all(|c| inner(c) || c == '-'),
                "{id}"
            );
            assert!(id.starts_with(inner) && id.ends_with(inner), "{id}");
        }
    }
    assert_eq!(super::slug("cd /srv/app && ./run.sh"), "cd-srv-app-run-sh");
}

#[test]
fn the_example_is_read_without_a_problem() {
    let found = user(include_str!("../../examples/crontab"));
    assert!(found.problems.is_empty(), "{found:?}");
    assert_eq!((found.entries.len(), found.notes.len()), (6, 1));
    assert_eq!(found.entries[0].expression, "* * * * *");
    assert_eq!(found.entries[5].zone, "Europe/Berlin");
    assert!(found.entries[2].command.contains("date +%F"));
}
