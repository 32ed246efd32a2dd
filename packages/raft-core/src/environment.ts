/**
 * The only door to time, chance and scheduling. The protocol does not use it at all; the node gets
 * it handed in, so that a simulation can run the whole stack on a clock and dice of its own.
 */
export interface Environment {
  /** Monotonic milliseconds; the origin means nothing. */
  now(): number
  /** Uniform in [0, 1). */
  random(): number
  /** Runs `turn` once, soon, after everything that has already arrived was delivered. */
  schedule(turn: () => void): void
  /** Runs `beat` about every `intervalMs` until the returned function is called. */
  every(intervalMs: number, beat: () => void): () => void
}

/** Real time and real chance, on Node, in browsers and in workers. */
export function systemEnvironment(): Environment {
  return {
    now: () => performance.now(),
    random: () => Math.random(),
    schedule: soon(),
    every(intervalMs, beat) {
      const timer = setInterval(beat, intervalMs)
      return () => clearInterval(timer)
    },
  }
}

type Soon = (turn: () => void) => void

/** The part of a message port that every platform's types agree on. */
interface Port {
  onmessage: (() => void) | null
  postMessage(message: null): void
}

/**
 * A macrotask, never a microtask: one turn then takes in all that the sockets delivered together,
 * and one write to disk serves all of it.
 */
function soon(): Soon {
  const { setImmediate } = globalThis as { setImmediate?: Soon }
  if (setImmediate !== undefined) return (turn) => setImmediate(turn)
  const turns: (() => void)[] = []
  const { port1, port2 } = new MessageChannel() as unknown as Record<'port1' | 'port2', Port>
  port1.onmessage = () => turns.shift()?.()
  return (turn) => {
    turns.push(turn)
    port2.postMessage(null)
  }
}
