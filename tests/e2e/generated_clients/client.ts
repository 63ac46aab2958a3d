// Send, read and list a message with openapi-fetch and the types that openapi-typescript generated.
// Arguments: the relay's URL and a key. Prints what came of it as JSON.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

const [baseUrl, key] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });

// The least that a message needs: every other member is optional.
const request: components["schemas"]["MessageRequest"] = {
  from: "shop@example.com",
  to: "ada@example.net",
  subject: "Hello",
  text: "Hello, Ada.",
};
const sent = await client.POST("/v1/messages", { body: request });
if (!sent.data || !("id" in sent.data)) throw new Error(sent.error?.error.message);

const id: string = sent.data.id;
const read = await client.GET("/v1/messages/{id}", { params: { path: { id } } });
if (!read.data) throw new Error(read.error.error.message);
const attempts: components["schemas"]["Attempt"][] = read.data.attempts ?? [];
const state: components["schemas"]["RecordState"] = read.data.state;

const listed = await client.GET("/v1/messages", { params: { query: { limit: 1 } } });
if (!listed.data) throw new Error(listed.error.error.message);
const ids: string[] = listed.data.value.map((message) => message.id);

console.log(JSON.stringify({ id, read: read.data.id, state, listed: ids, attempts: attempts.length }));
