/**
 * When calls are over. Most end long before, so that what counts is how little it costs to put one in
 * and to take it out: they lie in slots of a few milliseconds, and one timer waits for the next slot.
 */
const SLOT_MS = 8

export interface Expiring {
  /** On the clock of `performance.now()`; null for never. */
  readonly deadline: number | null
  /** The deadline has passed. */
  expire(): void
}

export class Deadlines {
  readonly #slots = new Map<number, Set<Expiring>>()
  #timer: NodeJS.Timeout | null = null
  #timerSlot = Infinity

  add(call: Expiring): void {
    if (call.deadline === null) return
    const slot = slotOf(call.deadline)
    const calls = this.#slots.get(slot)
    if (calls === undefined) this.#slots.set(slot, new Set([call]))
    else calls.add(call)
    if (slot < this.#timerSlot) this.#waitFor(slot)
  }

  remove(call: Expiring): void {
    if (call.deadline === null) return
    const slot = slotOf(call.deadline)
    const calls = this.#slots.get(slot)
    if (calls === undefined) return
    calls.delete(call)
    if (calls.size === 0) this.#slots.delete(slot)
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#slots.clear()
  }

  #waitFor(slot: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timerSlot = slot
    // A deadline may be weeks away; the timer looks again once a day.
    const delayMs = Math.min(86_400_000, slot * SLOT_MS - performance.now())
    this.#timer = setTimeout(() => this.#look(), Math.max(0, delayMs))
    this.#timer.unref()
  }

  #look(): void {
    this.#timer = null
    this.#timerSlot = Infinity
    const now = performance.now()
    let next = Infinity
    for (const [slot, calls] of this.#slots)
      if (slot * SLOT_MS <= now) {
        this.#slots.delete(slot)
        for (const call of calls) call.expire()
      } else if (slot < next) next = slot
    if (next < this.#timerSlot && next !== Infinity) this.#waitFor(next)
  }
}

/** The first slot whose time is not before the deadline. */
function slotOf(deadline: number): number {
  return Math.ceil(deadline / SLOT_MS)
}
