/** Members who take turns: each is next once before anybody is next again. */
export class Circle<Member> {
  readonly #members = new Set<Member>()
  /**
   * Kept from turn to turn. A new one would look for the first member among all that have left
   * since the set was last made compact, and make a round cost the square of their number.
   */
  #rest: Iterator<Member> = this.#members.values()

  get size(): number {
    return this.#members.size
  }

  add(member: Member): void {
    this.#members.add(member)
  }

  delete(member: Member): void {
    this.#members.delete(member)
  }

  [Symbol.iterator](): Iterator<Member> {
    return this.#members.values()
  }

  /** Whose turn it is; nobody's if there are no members. */
  next(): Member | undefined {
    const { done, value } = this.#rest.next()
    if (done !== true) return value
    this.#rest = this.#members.values()
    return this.#rest.next().value
  }
}
