/** What the object under test would do if it took one operation at a time. */
export interface Model<State, Input, Output> {
  /** Before the first operation. A state is never changed: `step` answers with another one. */
  readonly initial: State
  /**
   * The state after the operation, as the only property of an object; or null if the object, in
   * this state, cannot have answered so. An `output` of undefined is not known: anything goes.
   */
  step(state: State, input: Input, output: Output | undefined): { readonly state: State } | null
  /** Equal texts for equal states, and for no others. */
  identify(state: State): string
  /**
   * Names the independent object that an operation is about: a history is linearizable if the
   * history of each object is (locality). Default: all are about one.
   */
  objectOf?(input: Input): string
  /** Tells an operation in a few words, for people. Default: as JSON. */
  describe?(input: Input, output: Output | undefined): string
}
