// handlebars.js with the helpers that SendGrid documents. Reads a template and its data as JSON, one a line, and answers in kind.
import { createInterface } from "node:readline";
import Handlebars from "handlebars";

const isTrue = (value) => !(Handlebars.Utils.isEmpty(value) || value === 0);
const number = (value) => value ?? undefined; // JSON's null is a missing value
const condition = (decide) =>
  function (...parameters) {
    const options = parameters.pop();
    const decision = decide(...parameters);
    if (!options.fn) return decision;
    return decision ? options.fn(this) : options.inverse(this);
  };
const helpers = {
  equals: condition((left, right) => left == right),
  notEquals: condition((left, right) => left != right),
  greaterThan: condition((left, right) => number(left) > number(right)),
  lessThan: condition((left, right) => number(left) < number(right)),
  and: condition((...values) => values.every(isTrue)),
  or: condition((...values) => values.some(isTrue)),
  length: (value) => (typeof value === "string" || Array.isArray(value) ? value.length : 0),
  insert: (value, ...rest) =>
    value != null && value !== "" ? value : rest.length > 1 ? `${rest[0] ?? ""}`.replace(/^default=/, "") : "",
};
for (const [name, helper] of Object.entries(helpers)) Handlebars.registerHelper(name, helper);

for await (const line of createInterface({ input: process.stdin })) {
  const { source, data } = JSON.parse(line);
  let answer;
  try {
    answer = { text: Handlebars.compile(source)(data) };
  } catch (error) {
    answer = { error: error.message };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
