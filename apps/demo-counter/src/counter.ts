import type { StateMachine } from '@coracle/raft-core'

/** A counter. Each command adds its first byte to it and is answered with the new count. */
export interface Counter extends StateMachine<number> {
  readonly count: number
}

export function counter(): Counter {
  let count = 0
  return {
    get count() {
      return count
    },

    // It lives in memory: after a restart, the snapshot and the log bring it back.
    durableIndex: 0,

    apply: (commands) => commands.map(({ data }) => (count += data[0] ?? 0)),

    // The value is fixed now; the bytes are made when somebody reads them.
    snapshot() {
      const taken = count
      return (async function* () {
        yield new TextEncoder().encode(String(taken))
      })()
    },

    async restore(chunks) {
      const decoder = new TextDecoder()
      let text = ''
      for await (const chunk of chunks) text += decoder.decode(chunk, { stream: true })
      count = Number(text)
    },
  }
}
