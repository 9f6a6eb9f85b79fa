"""The planner: nodes, a queue and the gangs that run go in; each gang has a node for every pod, or the reason why not.

Pure: no I/O, no clock, no lots; equal worlds give equal answers. The door is ``plan.plan``, on an inventory that
``build`` has made. It takes gang after gang from ``order.Queue`` and asks ``answering`` for a place in the room that is
free; a gang that finds none goes to ``taking`` and ``shifting``, which may have others leave for it, and then to
``holding``, which says what its waiting means for those behind it. Last come ``growth``, for those who run, and
``advice``, for those who wait, once somebody asks. What all of these take and promise stands in ``cycle.Cycle``, with
an ``outlook.Outlook`` for each profile; what is below them works on a ``ground.Ground``, one profile's nodes as arrays.

The modules in the order to read them: each imports only from those named before it.

Nodes as arrays
    shelf       values derived from arrays that change here and there
    domains     which node is in which domain of the topology
    columns     node labels as columns
    matching    selectors, affinity and tolerations, on those columns
    demand      what a job demands of the topology, as level numbers
    wording     how a refusal is told
    fabrics     which cards of a node reach each other
    ground      the working copy of one profile's nodes, from which room is taken
    pyramid     how many pods each domain of each level holds
    build       from known nodes to an inventory

One gang in one profile
    fit         how many pods of one shape each node takes, and why none
    parts       a gang of several groups cut into runs and blocks
    scope       where a search keeps to
    pack        the pods of one shape, as tightly as possible
    balance     the same, spread evenly
    attempt     one try, which can be undone
    exact       small gangs of several shapes, by trying everything
    bundle      gangs of several shapes, by packing one after the other
    repair      lost ranks replaced, the others where they were
    alike       one refusal for all gangs of a kind
    explain     why a gang waits, in one line that counts
    place       all of this for one gang: its placement or its refusal

Rooms to come
    occupancy   what each running gang holds
    future      the ground once some gangs are gone
    probe       whether a gang would fit
    reserve     when it could start at the earliest
    overlap     the room that several futures leave
    outlook     one profile during a cycle, with what is kept for others

Teams and the queue
    quota       who may use how much
    ways        over which profiles a mixed gang may be spread
    elastic     the sizes that an elastic gang may have
    order       who is asked before whom

Room made by others
    preempt     who may be evicted for whom, and what that loses
    casualties  who of them has to go
    shrink      who would have to come back smaller
    landing     where gangs that move sit down again
    defrag      who would have to move
    moves       who may move by the pool's policy, and what that sets in motion

One gang on several profiles
    common      levels that profiles share
    lands       the profiles of a pool, by shared domains
    trial       the parts of one gang, one a profile
    spread      pod by pod
    heads       a reservation on several profiles
    mixing      all ways of spreading it, tried in order

What would help one that waits
    relax       what its job could do without
    scaleup     how many more nodes would do
    remedy      each thing that would do, the cheapest first
    advice      what is told of that, with those before it in the queue

The cycle
    cycle       what was taken and promised so far
    answering   a gang's answer from the room that is free
    rivals      who would take what a preemptor's victims leave
    taking      others go for a gang
    shifting    others move for a gang
    holding     what a gang that waits means for those behind it
    growth      running gangs that may have more pods
    lasting     how long the answer stands
    plan        the walk over the queue
"""
