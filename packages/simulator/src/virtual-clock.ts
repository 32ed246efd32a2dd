import { systemEnvironment } from '@coracle/raft-core'

interface Happening {
  readonly time: number
  readonly sequence: number
  readonly run: () => void
  readonly isQuiet: boolean
}

/**
 * Virtual time, in milliseconds: one queue of what is to happen, ordered by time and then by when
 * it was asked for. Between two happenings all promises that can go on do so, so that nothing
 * depends on how deep a chain of promises is, and the same seed gives the same run.
 */
export class VirtualClock {
  #now = 0
  #sequence = 0
  readonly #queue: Happening[] = []

  get now(): number {
    return this.#now
  }

  /** Runs `run` in `delayMs` from now. */
  after(delayMs: number, run: () => void): void {
    this.#push(delayMs, run, false)
  }

  /** The same for what settles no promise; then nobody needs to wait for those. */
  afterQuietly(delayMs: number, run: () => void): void {
    this.#push(delayMs, run, true)
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve))
  }

  /** Lets time pass until `isOver`, or until nothing is left to happen. */
  async run(isOver: () => boolean): Promise<void> {
    await drained()
    for (let count = 1; !isOver(); count++) {
      const happening = this.#pop()
      if (happening === null) return
      this.#now = happening.time
      happening.run()
      if (count % HAPPENINGS_PER_TURN === 0) await turned()
      else if (!happening.isQuiet) await drained()
    }
  }

  #push(delayMs: number, run: () => void, isQuiet: boolean): void {
    if (!(delayMs >= 0)) throw new RangeError(`nothing can happen ${delayMs} ms from now`)
    this.#sequence += 1
    const queue = this.#queue
    const added = { time: this.#now + delayMs, sequence: this.#sequence, run, isQuiet }
    let at = queue.length
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(added, queue[parent] as Happening)) break
      queue[at] = queue[parent] as Happening
      at = parent
    }
    queue[at] = added
  }

  #pop(): Happening | null {
    const queue = this.#queue
    const first = queue[0]
    const last = queue.pop()
    if (first === undefined || last === undefined) return null
    if (queue.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= queue.length) break
      const right = queue[child + 1]
      if (right !== undefined && isBefore(right, queue[child] as Happening)) child += 1
      if (!isBefore(queue[child] as Happening, last)) break
      queue[at] = queue[child] as Happening
      at = child
    }
    queue[at] = last
    return first
  }
}

function isBefore(a: Happening, b: Happening): boolean {
  return a.time < b.time || (a.time === b.time && a.sequence < b.sequence)
}

/** As often as this, the real event loop has its turn: somebody may want to show how far this is. */
const HAPPENINGS_PER_TURN = 1_000

const system = systemEnvironment()

/** A turn of the real event loop: it begins when no promise can go on any more. */
function turned(): Promise<void> {
  return new Promise((resolve) => system.schedule(resolve))
}

/** The part of Node's `process` that other platforms do without. */
interface Ticking {
  readonly process?: { readonly nextTick?: (run: () => void) => void }
}

/**
 * Resolves when no promise can go on any more. Node says so without a turn of its event loop, which
 * costs more than all that happens in it: what a promise asks for by `nextTick` comes after all of
 * the promises that can go on.
 */
function drained(): Promise<void> {
  const { process } = globalThis as Ticking
  const nextTick = process?.nextTick
  if (nextTick === undefined) return turned()
  return Promise.resolve().then(() => new Promise((resolve) => nextTick(resolve)))
}
