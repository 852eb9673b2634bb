"""Words for first names: easy to say over a radio, none of them a place or a person."""

ADJECTIVES = tuple(
    """
    able aged airy amber ample apt arctic ashen autumn awake azure bare basic birch blue bold
    brass brave breezy brief bright brisk bronze brown calm candid cedar chalky chief chilly
    civil clean clear clever cloudy coastal cobalt cool copper coral cozy crimson crisp curly
    daily dapper daring dawn deep dewy direct dusky dusty eager early earthy east easy elder elm
    even fabled fair fancy fern fine firm first fleet fond frank free fresh frosty full gentle
    giant glad golden good grand granite grassy gray great green hale handy happy hardy hasty
    hazel hearty hilly honest humble icy indigo inland iron island ivory jade jolly keen kind
    lake large late leafy level light lilac lively local lofty long loud loyal lucky lunar maple
    marble mellow merry mighty mild misty modest mossy neat new nimble noble north oaken ocean
    olive open orange pale patient peach pearl pine plain polar prime proud purple quick quiet
    rapid ready red river robust rocky rosy round royal ruby rugged rural russet rustic sable
    sandy satin scarlet sharp shiny silent silk silver simple sleepy slim slow smart smooth
    snowy soft solar solid south spry square stable starry steady steel stone stormy strong
    sturdy sunny sure swift tall tame tawny teal tender tidy timber topaz tough trusty twin
    valiant velvet violet vivid warm wary west white wide wild willow windy winter wise witty
    wooden young zesty
    """.split()
)
ANIMALS = tuple(
    """
    adder alpaca ant antler badger bat bear beaver bee beetle bison boar bobcat buck buffalo
    bull bunny camel canary carp cat cheetah chick clam cobra cod colt condor coot cougar cow
    coyote crab crane cricket crow cub cuckoo deer dingo dodo dog dolphin donkey dove dragon
    drake duck eagle eel egret elk emu ermine falcon fawn ferret finch fish flea fox frog gecko
    gibbon giraffe goat goose gopher grouse gull hamster hare hawk hen heron hippo hornet horse
    hound husky ibex ibis iguana impala jackal jaguar jay kestrel kite kitten kiwi koala krill
    lamb lark lemming lemur leopard lion lizard llama lobster locust loon lynx macaw magpie
    marlin marmot marten martin mink minnow mole monkey moose moth mouse mule newt ocelot
    octopus orca oriole osprey ostrich otter owl ox oyster panda panther parrot pelican penguin
    perch pig pigeon pike piper plover pony poodle prawn puffin puma quail rabbit racoon ram rat
    raven reindeer rhino robin rook rooster salmon seal shark sheep shrew shrimp skunk sloth
    snail snake snipe sparrow spider squid stag starling stoat stork swallow swan swift tapir
    termite tern thrush tiger toad trout tuna turkey turtle viper vole vulture walrus wasp
    weasel whale wolf wombat wren yak zebra
    """.split()
)
