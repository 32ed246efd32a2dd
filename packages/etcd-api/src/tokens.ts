/** What stands for a user from call to call. */
import type { Identity } from '@coracle/kv-state-machine'
import type { Call, Cancellable } from './call.ts'

export interface Tokens extends Disposable {
  /** For whom the token stands, or null. What is known at once is answered at once. */
  identify(token: string, call: Call): Identity | null | Promise<Identity | null>
  /**
   * A token for a user whose password was found right at this revision of users and roles, or null if
   * they have changed since: then the password must be looked at again.
   */
  issue(user: string, revision: number, call: Cancellable): Promise<string | null>
}
