/** The types of the public API: what compiles, and what must not. `npm run types` checks them. */

import type { UIMessage } from "ai";
import { expectTypeOf, test } from "vitest";
import type { Json, Message, Refusal, Request, Session, SessionEvents } from "../src/index.ts";

interface Trip {
  hotel: { name: string; stars: number } | null;
  stops: string[];
}

interface Typing {
  typing: boolean;
}

interface Mood {
  mood: string;
}

test("messages are those of the AI SDK", () => {
  expectTypeOf<Message[]>().toExtend<UIMessage[]>();
  expectTypeOf<Message<Mood>[]>().toExtend<UIMessage<Mood>[]>();
});

test("state, presence and metadata have the types that the application gives", () => {
  type Mine = Session<Trip, Typing, Mood>;
  const check = (session: Mine): void => {
    expectTypeOf(session.state.get("hotel.name")).toEqualTypeOf<string | undefined>();
    expectTypeOf(session.state.get("stops.0")).toEqualTypeOf<string | undefined>();
    expectTypeOf(session.state.value.stops).toEqualTypeOf<string[]>();
    session.state.set("hotel.stars", 4);
    // @ts-expect-error a number, not a text
    session.state.set("hotel.stars", "four");
    session.presence.set({ typing: null });
    // @ts-expect-error no field of the application
    session.presence.set({ mood: "fine" });
    expectTypeOf(session.messages.all[0]?.metadata.mood).toEqualTypeOf<string | undefined>();
    session.send("hello", { metadata: { mood: "fine" } });
    // @ts-expect-error no metadata of the application
    session.send("hello", { metadata: { state: "fine" } });
    session.on("presence", ([first]) =>
      expectTypeOf(first?.fields.typing).toEqualTypeOf<boolean | undefined>(),
    );
  };
  expectTypeOf(check).toBeFunction();
});

test("there are no other events, and a session without types has JSON", () => {
  const check = (session: Session): void => {
    // @ts-expect-error no event
    session.on("participants", () => {});
    expectTypeOf(session.state.get("trip.hotel")).toEqualTypeOf<Json | undefined>();
    expectTypeOf(session.watch("refused")).toEqualTypeOf<AsyncIterable<Refusal>>();
    expectTypeOf(session.cancel("r1")).toEqualTypeOf<Request>();
  };
  expectTypeOf(check).toBeFunction();
  expectTypeOf<keyof SessionEvents>().not.toEqualTypeOf<string>();
});

test("an outcome that is refused has an error", () => {
  const check = async (request: Request): Promise<void> => {
    const outcome = await request.outcome({ timeoutSeconds: 1 });
    if (outcome.accepted) expectTypeOf(outcome.error).toEqualTypeOf<null>();
    else expectTypeOf(outcome.error.code).toEqualTypeOf<string>();
  };
  expectTypeOf(check).toBeFunction();
});
