// The AI SDK's own Chat, without a page, over its own HTTP transport.

import { AbstractChat, DefaultChatTransport, lastAssistantMessageIsCompleteWithApprovalResponses } from "ai";
import { answer } from "./driver.mjs";

class State {
  status = "ready";
  error = undefined;
  messages = [];
  pushMessage = (message) => {
    this.messages = [...this.messages, message];
  };
  popMessage = () => {
    this.messages = this.messages.slice(0, -1);
  };
  replaceMessage = (index, message) => {
    this.messages = this.messages.with(index, structuredClone(message));
  };
  snapshot = (value) => structuredClone(value);
}

class Chat extends AbstractChat {
  constructor(init) {
    super({ ...init, state: new State() });
  }
}

const { base, session, token } = JSON.parse(process.argv[2]);
const called = [];
const chat = new Chat({
  id: session,
  transport: new DefaultChatTransport({ api: `${base}/ai`, headers: token ? { authorization: `Bearer ${token}` } : {} }),
  sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses,
  onToolCall: ({ toolCall }) => {
    called.push(toolCall.toolCallId);
  },
});

answer({
  send: ({ text }) => {
    void chat.sendMessage({ text });
  },
  resume: () => {
    void chat.resumeStream();
  },
  stop: () => chat.stop(),
  vote: ({ id, approved }) => chat.addToolApprovalResponse({ id, approved }),
  shown: () => ({ status: chat.status, error: chat.error?.message ?? null, messages: chat.messages, called }),
});
