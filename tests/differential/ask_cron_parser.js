// What cron-parser answers. Reads questions.jsonl and offsets.jsonl of a folder, writes cron-parser.jsonl and
// cron-parser-offsets.jsonl; the offsets are those of node's own time zone database.

const { readFileSync, createWriteStream } = require("node:fs");
const folder = process.argv[2];
const { createRequire } = require("node:module");
const peer = createRequire(`${folder}/../package.json`);
const { CronExpressionParser } = peer("cron-parser");
const { IANAZone } = peer("luxon");

const lines = (name) => readFileSync(`${folder}/${name}`, "utf8").trimEnd().split("\n").map((it) => JSON.parse(it));

const answers = createWriteStream(`${folder}/cron-parser.jsonl`);
for (const { expression, zone, after, gap } of lines("questions.jsonl")) {
  if (gap) continue;
  let answer;
  try {
    const found = CronExpressionParser.parse(expression, { currentDate: new Date(after * 1000), tz: zone }).next();
    answer = { next: Math.floor(found.getTime() / 1000) };
  } catch (error) {
    answer = { error: String(error.message).slice(0, 200) };
  }
  answers.write(JSON.stringify(answer) + "\n");
}
answers.end();

const offsets = createWriteStream(`${folder}/cron-parser-offsets.jsonl`);
for (const { zone, offsets_at } of lines("offsets.jsonl")) {
  const rules = IANAZone.create(zone);
  const found = rules.isValid ? offsets_at.map((at) => Math.round(rules.offset(at * 1000) * 60)) : null;
  offsets.write(JSON.stringify({ offsets: found, release: process.versions.tz }) + "\n");
}
offsets.end();
