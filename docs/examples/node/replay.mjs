// node replay.mjs FILE…: replays conformance transcripts against the broker at NATS_URL, a line of JSON each: {name, problems}.
// contracts/transcripts/README.md says what each word means; a client in another language needs no more than this program does.
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { connect, headers, RequestError } from "@nats-io/transport-node";
import { jetstream, JetStreamApiError, jetstreamManager } from "@nats-io/jetstream";

const PATIENCE_MS = 60_000;
const nc = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222" });
const js = jetstream(nc);
const { direct } = await jetstreamManager(nc);
// ------------------------------------------------------------------ steps

async function replayed({ steps }) {
  const state = { kept: {}, listening: {} };
  try {
    for (const [number, step] of steps.entries()) {
      if (!Object.hasOwn(DO, step.do)) return [`step ${number + 1}: nobody knows how to ${step.do}`];
      const found = await DO[step.do](step, state);
      if (found.length) return found.map((line) => `step ${number + 1} (${step.do}): ${line}`);
    }
    return [];
  } catch (error) {
    return [`${error}`];
  } finally {
    for (const { subscription } of Object.values(state.listening)) subscription.unsubscribe();
  }
}

const DO = {
  async publish(step) {
    const { stored_in, refused, no_stream } = step.expect;
    return problems(defined({ stored_in, refused, no_stream }), await published(step), "");
  },

  async request(step) {
    try {
      const reply = await nc.request(step.subject, sent(step), { timeout: PATIENCE_MS, headers: carried(step) });
      return step.expect.no_responders ? ["somebody answers"] : differences(step.expect, reply);
    } catch (error) {
      if (!(error instanceof RequestError) || !error.isNoResponders()) throw error;
      return step.expect.no_responders ? [] : ["nobody answers"];
    }
  },

  async await(step, { kept }) {
    const message = await until(() => stored(step));
    if (!message) return [`nothing under ${step.subject}`];
    const whole = [message.seq, message.string()];
    if (step.as) kept[step.as] = whole;
    const { same_as } = step.expect ?? {};
    if (same_as && !isDeepStrictEqual(kept[same_as], whole)) return [`not the same as ${same_as}`];
    return differences(step.expect, { data: message.data, headers: message.header });
  },

  async gone(step) {
    return (await until(async () => !(await stored(step)))) ? [] : [`still something under ${step.subject}`];
  },

  async listen(step, { listening }) {
    const subscription = nc.subscribe(step.subject);
    listening[step.as] = { subscription, messages: subscription[Symbol.asyncIterator]() };
    await nc.flush();
    return [];
  },

  async heard(step, { listening }) {
    const { subscription, messages } = listening[step.on];
    const tooLate = setTimeout(() => subscription.unsubscribe(), PATIENCE_MS);
    try {
      for (let next = await messages.next(); !next.done; next = await messages.next()) {
        if (!differences(step.expect, next.value).length) return []; // others pass by here too
      }
      return [`nothing like it on ${step.on}`];
    } finally {
      clearTimeout(tooLate);
    }
  },
};

async function published(step) {
  try {
    const { stream } = await js.publish(step.subject, sent(step), { headers: carried(step) });
    return { stored_in: stream };
  } catch (error) {
    if (error instanceof JetStreamApiError) return { refused: { code: error.status, err_code: error.code } };
    if (error.name === "JetStreamNotEnabled") return { no_stream: true };
    throw error;
  }
}

function stored(step) {
  return direct.getMessage(step.stream, { last_by_subj: step.subject });
}

async function until(probe) {
  for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; await sleep(20)) {
    const found = await probe();
    if (found) return found;
  }
}

function sent({ body, body_text, body_base64 }) {
  if (body_base64 !== undefined) return Buffer.from(body_base64, "base64");
  return Buffer.from(body_text ?? JSON.stringify(body));
}

function carried(step) {
  const all = headers();
  for (const [name, value] of Object.entries(step.headers ?? {})) all.set(name, value);
  return all;
}

// ------------------------------------------------------------------ placeholders

function token(bytes) {
  return randomBytes(bytes).toString("hex");
}

function filled(value, places) {
  if (typeof value === "string") return value.replace(/\{(id|tenant|trace)\}/g, (_, name) => places[name]);
  if (Array.isArray(value)) return value.map((each) => filled(each, places));
  if (value === null || typeof value !== "object") return value;
  if (value.$repeat) return value.$repeat[0].repeat(value.$repeat[1]);
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, filled(each, places)]));
}

// ------------------------------------------------------------------ comparing

const TYPES = {
  string: (got) => typeof got === "string",
  number: (got) => typeof got === "number",
  integer: (got) => Number.isInteger(got),
  boolean: (got) => typeof got === "boolean",
  object: (got) => got !== null && typeof got === "object" && !Array.isArray(got),
  array: Array.isArray,
};

const MATCHERS = {
  $type: (name, got) => TYPES[name](got),
  $one_of: (values, got) => values.some((value) => fits(value, got)),
  $pattern: (pattern, got) => typeof got === "string" && new RegExp(pattern, "u").test(got),
  $between: ([least, most], got) => typeof got === "number" && least <= got && got <= most,
  $each: (each, got) => Array.isArray(got) && got.every((one) => fits(each, one)),
  $contains: (wanted, got) => Array.isArray(got) && got.some((one) => fits(wanted, one)),
  $all: (wanted, got) => wanted.every((one) => fits(one, got)),
  $slice_of: (text, got) => TYPES.object(got) && Array.from(text).slice(got.start, got.end).join("") === got.text,
};

function fits(expected, got) {
  return problems(expected, got, "").length === 0;
}

function problems(expected, got, at) {
  const told = (what) => [`${at || "."}: ${JSON.stringify(got)} is not ${what}`];
  if (Array.isArray(expected)) {
    if (!Array.isArray(got) || got.length !== expected.length) return told(`a list of ${expected.length}`);
    return expected.flatMap((each, n) => problems(each, got[n], `${at}[${n}]`));
  }
  if (expected === null || typeof expected !== "object") return expected === (got ?? null) ? [] : told(JSON.stringify(expected));
  const matchers = Object.entries(expected).filter(([key]) => key.startsWith("$"));
  if (matchers.length) return matchers.flatMap(([name, said]) => (MATCHERS[name](said, got) ? [] : told(`${name} ${JSON.stringify(said)}`)));
  if (!TYPES.object(got)) return told("an object");
  return Object.entries(expected).flatMap(([key, each]) => problems(each, got[key], `${at}.${key}`));
}

function differences(expect, message) {
  const { json, body_text, body_base64, headers: wanted = {} } = expect ?? {};
  const got = { body_text: Buffer.from(message.data).toString(), body_base64: Buffer.from(message.data).toString("base64") };
  const found = Object.entries(wanted).flatMap(([name, each]) => problems(each, message.headers?.get(name), `headers.${name}`));
  found.push(...problems(defined({ body_text, body_base64 }), got, "body"));
  if (json !== undefined) found.push(...problems(json, parsed(got.body_text), "json"));
  return found;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function defined(object) {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

// ------------------------------------------------------------------ all of them

let failed = 0;
for (const file of process.argv.slice(2)) {
  const places = { id: token(16), tenant: `t${token(6)}`, trace: token(16) };
  const transcript = filled(JSON.parse(await readFile(file, "utf8")), places);
  const found = await replayed(transcript);
  if (found.length) failed += 1;
  console.log(JSON.stringify({ name: transcript.name, problems: found }));
}
await nc.close();
process.exitCode = failed ? 1 : 0;
