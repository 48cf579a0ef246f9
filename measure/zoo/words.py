"""The words that the corpus is made of: people, places, things, weather, sentences with slots.

All of it was written for this project. Slots are named in braces and filled by `corpus.py`.
"""

PEOPLE = (
    "Ada", "Boris", "Clara", "Dario", "Elsa", "Farid", "Greta", "Hugo", "Ines", "Jonas",
    "Kira", "Leo", "Mina", "Nadia", "Omar", "Petra", "Quinn", "Rosa", "Sam", "Tilda", "Uma",
    "Viktor", "Wanda", "Yusuf", "Zoe", "Anton", "Bella", "Carlos", "Dora", "Emil", "Freya",
    "Gustav", "Hana", "Ivan", "Julia", "Karim",
)  # fmt: skip

# Kept out of training problems but for the renamed ones.
RARE_PEOPLE = ("Odette", "Bruno", "Sanna", "Mateo", "Livia", "Tariq", "Noor", "Edvard")

NUMBER_WORDS = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve",
)  # fmt: skip

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip

# (one, many)
THINGS = (
    ("apple", "apples"), ("book", "books"), ("coin", "coins"), ("shell", "shells"),
    ("stamp", "stamps"), ("button", "buttons"), ("pear", "pears"), ("candle", "candles"),
    ("pencil", "pencils"), ("stone", "stones"), ("card", "cards"), ("ribbon", "ribbons"),
    ("marble", "marbles"), ("plum", "plums"), ("letter", "letters"), ("key", "keys"),
    ("basket", "baskets"), ("map", "maps"), ("nut", "nuts"), ("flower", "flowers"),
    ("bottle", "bottles"), ("kite", "kites"), ("spoon", "spoons"), ("bead", "beads"),
)  # fmt: skip

BOXES = (
    ("box", "boxes"), ("bag", "bags"), ("jar", "jars"), ("drawer", "drawers"),
    ("shelf", "shelves"), ("tray", "trays"),
)  # fmt: skip

PLACES = (
    "market", "harbour", "library", "old bridge", "school yard", "station", "forest",
    "river bank", "bakery", "lighthouse", "village square", "mill", "castle", "garden",
    "museum", "mountain hut", "workshop", "beach", "farm", "theatre", "post office",
    "orchard",
)  # fmt: skip

WEATHER = (
    "rain fell softly", "the wind was strong", "snow covered the roofs", "the sun was warm",
    "fog hid the hills", "the sky was clear", "thunder rolled far away", "the air was cold and dry",
    "a light mist rose from the water", "clouds moved quickly", "it was hot and still",
)  # fmt: skip

TIMES = (
    "In the morning", "Late in the evening", "On Monday", "One day in spring", "After school",
    "Last winter", "At noon", "Before sunrise", "On the first day of May", "Many years ago",
    "During the holidays", "On Friday night",
)  # fmt: skip

LOOKS = (
    "small", "large", "red", "blue", "green", "old", "new", "broken", "heavy", "golden",
    "wooden", "strange", "bright", "dusty", "silver", "round", "empty", "beautiful",
    "yellow", "plain",
)  # fmt: skip

FEELINGS = (
    "happy", "tired", "afraid", "proud", "curious", "angry", "calm", "lonely", "surprised",
    "hungry", "worried", "glad",
)  # fmt: skip

WORK = (
    "a doctor", "a teacher", "a sailor", "a farmer", "a painter", "a student", "a baker",
    "a musician", "an engineer", "a gardener", "a nurse", "a writer", "a driver", "a cook",
)  # fmt: skip

ANIMALS = (
    "dog", "cat", "horse", "bird", "goat", "fox", "rabbit", "owl", "donkey", "mouse",
)  # fmt: skip

# A story takes one sentence of each group, in this order.
OPENINGS = (
    "{time} {who} walked to the {place}, and {weather}.",
    "{time} {weather}, and {who} was at the {place}.",
    "{who} was {work} who lived near the {place}. {time} {weather}.",
    "There was once {work} called {who}. {time} {she} went to the {place}.",
    "{time}, while {weather}, {who} waited at the {place} for {other}.",
    "Nobody in the village knew why {who} went to the {place} every day.",
)

EVENTS = (
    "{she} found a {look} {thing} under a bench and put it in a bag.",
    "A {look} {animal} came out of the shadow and looked at {her}.",
    "{she} had lost a {look} {thing} and searched for it everywhere.",
    "Someone had left a {look} {thing} next to the door.",
    "{other}, {work2}, was carrying a {look} {thing} and needed help.",
    "The {animal} of {other} had run away, so {she} followed its tracks in the mud.",
    "{she} wanted to buy a {thing}, but it cost more money than {she} had.",
    "On the wall hung a map with a {look} line that led to the {place2}.",
    "{other} gave {her} a letter and asked {her} to take it to the {place2}.",
)

TALK = (
    '"Where did you find this {thing}?" asked {other}. "At the {place2}," said {who}.',
    '"I think we should go home," said {other}. "Not yet," {who} answered.',
    '"Do you know whose {thing} this is?" {who} asked. {other} shook {his} head.',
    '"You look {feel} today," said {other}. {who} smiled and said nothing.',
    '"If the weather gets worse, we will stay at the {place2}," said {who}.',
    "{who} told {other} everything, and {other} listened without a word.",
    '{other} laughed. "That is the third {thing} this week!"',
    '"Can you keep a secret?" {other} asked, and {who} said yes.',
)

TURNS = (
    "Because {weather}, they had to wait until the next day.",
    "But when they opened the box, it was empty.",
    "Then the lights went out and all the people became quiet.",
    "However, the {animal} knew the way better than they did.",
    "So they shared what they had and walked on together to the {place2}.",
    "At last they saw that the {thing} was not {look} but {look2}.",
    "They worked for two hours, first slowly, then faster.",
    "The road to the {place2} was longer than they had thought.",
    "Suddenly {other} remembered where the {thing} must be.",
)

ENDINGS = (
    "In the end {who} was {feel}, and {other} was {feel2}.",
    "From that day on {who} and {other} were friends.",
    "{who} never went back to the {place}, but {she} kept the {thing} for many years.",
    "When night came, {who} went home and slept well.",
    "Nobody ever learned what had happened to the {look} {thing}.",
    "They put the {thing} on a table, and everyone who came in could see it.",
    "And that is how the {place} got its {look} {thing}.",
    "The next morning {weather}, and the story was told all over the village.",
)
