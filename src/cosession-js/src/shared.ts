/** Plain JSON as shared types: objects become Maps and lists Arrays, so that others can edit inside. */

import * as Y from "yjs";
import { isObject } from "./json.ts";

export function shared(value: unknown): unknown {
  if (Array.isArray(value)) {
    const array = new Y.Array<unknown>();
    array.push(value.map(shared));
    return array;
  }
  if (isObject(value)) return new Y.Map(Object.entries(value).map(([key, each]) => [key, shared(each)]));
  return value;
}
