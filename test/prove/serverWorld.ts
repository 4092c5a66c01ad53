import type { Move, World } from './explore.js';
import type { LifecycleState, LifecycleWorld } from './lifecycleWorld.js';
import type { SessionState, SessionWorld } from './sessionWorld.js';

/** A server, its directory and its sessions. */
export interface ServerState {
  /** Numbers of what the server and each session are: a place without a session is `unopened`, one that had one `over`. */
  readonly server: number;
  readonly isDirectoryUp: boolean;
  readonly sessions: readonly number[];
}

const unopened = -2;
const over = -1;

interface Local extends Pick<Move<unknown>, 'name' | 'by' | 'isGood'> {
  readonly next: number;
}

/** The states of one part and its moves, each made once. */
class Part<State> {
  readonly states: State[] = [];
  readonly world: World<State>;
  readonly #ids = new Map<string, number>();
  readonly #moves = new Map<number, readonly Local[]>();

  constructor(world: World<State>) {
    this.world = world;
  }

  idOf(state: State): number {
    const key = this.world.key(state);
    const known = this.#ids.get(key) ?? this.states.push(state) - 1;
    this.#ids.set(key, known);
    return known;
  }

  at(id: number): State {
    const state = this.states[id];
    if (state === undefined) throw new Error(`No state ${id}.`);
    return state;
  }

  moves(id: number): readonly Local[] {
    const known = this.#moves.get(id);
    if (known !== undefined) return known;
    // What is wrong about a move is found where the part is explored alone.
    const moves = this.world
      .moves(this.at(id))
      .map((move) => ({ ...move, next: this.idOf(move.take(() => undefined)) }));
    this.#moves.set(id, moves);
    return moves;
  }
}

/**
 * Several sessions of one server together, with a directory that comes and goes. They are alike: which of them is where is
 * not told apart, only how many are.
 */
export class ServerWorld implements World<ServerState> {
  readonly name: string;
  readonly #sessions: Part<SessionState>;
  readonly #server: Part<LifecycleState<object>>;
  readonly #count: number;

  constructor(session: SessionWorld, server: LifecycleWorld<object>, count: number) {
    this.name = `server with ${count} sessions: ${session.name.replace('session: ', '')}`;
    this.#sessions = new Part(session);
    this.#server = new Part(server);
    this.#count = count;
  }

  starts(): ServerState[] {
    const [server] = this.#server.world.starts();
    if (server === undefined) return [];
    const sessions = Array.from({ length: this.#count }, () => unopened);
    return [{ server: this.#server.idOf(server), isDirectoryUp: true, sessions }];
  }

  key({ server, isDirectoryUp, sessions }: ServerState): string {
    return `${server} ${isDirectoryUp} ${sessions.join(' ')}`;
  }

  isEnd({ server }: ServerState): boolean {
    return this.#server.world.isEnd(this.#server.at(server));
  }

  isAwaited(): boolean {
    return false;
  }

  mayRest(state: ServerState): boolean {
    const isQuiet = state.sessions.every((id) => id < 0);
    return isQuiet && this.#server.world.mayRest?.(this.#server.at(state.server)) === true;
  }

  shapes({ server, sessions }: ServerState): string[] {
    const open = sessions.filter((id) => id >= 0);
    return [this.#phaseOf(server), ...open.flatMap((id) => this.#sessions.world.shapes(this.#sessions.at(id)))];
  }

  violations(state: ServerState): string[] {
    const open = state.sessions.some((id) => id >= 0);
    const phase = this.#phaseOf(state.server);
    const closesBrowsers = phase === '"stopped"' || phase.includes('browsers');
    return [
      ...(open && closesBrowsers ? ['S5: the browsers are closed after the sessions'] : []),
      ...(open && phase === '"starting"' ? ['S1: a session is opened before the port'] : []),
    ];
  }

  moves(state: ServerState): Move<ServerState>[] {
    if (this.isEnd(state)) return [];
    const { server, isDirectoryUp, sessions } = state;
    const others = sessions.flatMap((id, index) => (id < 0 || sessions.indexOf(id) !== index ? [] : [index]));
    return [
      ...this.#serverMoves(state),
      {
        name: isDirectoryUp ? 'directory away' : 'directory back',
        by: 'outside',
        take: () => ({ server, sessions, isDirectoryUp: !isDirectoryUp }),
      },
      ...this.#openings(state),
      ...others.flatMap((index) => this.#sessionMoves(state, index)),
    ];
  }

  #phaseOf(server: number): string {
    return this.#server.world.shapes(this.#server.at(server))[0] ?? '';
  }

  #serverMoves(state: ServerState): Move<ServerState>[] {
    const areOver = state.sessions.every((id) => id < 0);
    const isEnding = this.#phaseOf(state.server).includes('sessions');
    return this.#server.moves(state.server).flatMap((move) => {
      // The drain ends with the last session; its time limit is longer than that of a session.
      if (isEnding && !areOver && /sessions|drainTimeout/.test(move.name)) return [];
      const isDrain = !isEnding && this.#phaseOf(move.next).includes('sessions');
      const take = (): ServerState => ({
        ...state,
        server: move.next,
        sessions: isDrain ? this.#drained(state.sessions) : state.sessions,
      });
      return [{ ...move, take }];
    });
  }

  #drained(sessions: readonly number[]): readonly number[] {
    return sessions
      .map((id) => {
        if (id < 0) return over;
        return this.#closedAsOver(this.#sessions.moves(id).find(({ name }) => name === 'session.drain')?.next ?? id);
      })
      .toSorted((one, other) => one - other);
  }

  #closedAsOver(id: number): number {
    return this.#sessions.world.isEnd(this.#sessions.at(id)) ? over : id;
  }

  #openings(state: ServerState): Move<ServerState>[] {
    const index = state.sessions.indexOf(unopened);
    if (index < 0 || this.#phaseOf(state.server) !== '"listening"') return [];
    return this.#sessions.world.starts().map((start) => ({
      name: 'open a session',
      by: 'outside',
      take: () => this.#with(state, index, this.#sessions.idOf(start)),
    }));
  }

  #sessionMoves(state: ServerState, index: number): Move<ServerState>[] {
    const id = state.sessions[index] ?? over;
    // Without its directory, a claim is refused.
    const moves = this.#sessions
      .moves(id)
      .filter(({ name }) => state.isDirectoryUp || name !== 'done.tools-registered.claiming');
    return moves
      .filter(({ name }) => name !== 'session.drain')
      .map((move) => ({ ...move, take: () => this.#with(state, index, this.#closedAsOver(move.next)) }));
  }

  #with(state: ServerState, index: number, id: number): ServerState {
    return { ...state, sessions: state.sessions.with(index, id).toSorted((one, other) => one - other) };
  }
}
