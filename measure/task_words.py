"""The words of the tasks for models that have read the world: names, things, places, facts.

All lists were written for this project, of words so common that most tokenizers have them as one
token each; `measure.task_items` narrows them to those that a given tokenizer cuts alike.
"""

NUMERALS = tuple(str(number) for number in range(1, 13))

NUMBER_WORDS = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve",
)  # fmt: skip

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip

NAMES = (
    "Adam", "Alan", "Albert", "Alex", "Alice", "Allen", "Amy", "Andrew", "Ann", "Anna", "Anne",
    "Anthony", "Arthur", "Ben", "Bill", "Bob", "Brian", "Bruce", "Carl", "Charles", "Chris",
    "Crystal", "Daniel", "David", "Dean", "Donald", "Edward", "Elizabeth", "Emily", "Eric",
    "Frank", "Fred", "George", "Greg", "Harry", "Henry", "Jack", "Jacob", "James", "Jamie", "Jane",
    "Jason", "Jay", "Jean", "Jennifer", "Jerry", "Jessica", "Jim", "Joe", "John", "Jonathan",
    "Jordan", "Joseph", "Josh", "Kate", "Keith", "Kelly", "Ken", "Kevin", "Kim", "Laura", "Lee",
    "Leon", "Lewis", "Lisa", "Louis", "Luke", "Marcus", "Maria", "Marie", "Mark", "Martin", "Mary",
    "Matthew", "Max", "Michael", "Michelle", "Neil", "Nick", "Patrick", "Paul", "Peter", "Rachel",
    "Ray", "Richard", "Robert", "Roger", "Rose", "Roy", "Ryan", "Sam", "Sarah", "Scott", "Sean",
    "Simon", "Stephen", "Thomas", "Tim", "Tom", "William",
)  # fmt: skip

# Capitalised, as they begin a sentence without an article.
NOUNS = (
    "Air", "Apple", "Arm", "Art", "Baby", "Ball", "Bank", "Bar", "Bell", "Bird", "Blood", "Board",
    "Boat", "Body", "Book", "Box", "Brain", "Bread", "Bridge", "Bus", "Camera", "Card", "Case",
    "Cat", "Chain", "Chair", "Church", "City", "Clock", "Cloud", "Coffee", "Corn", "Cup", "Desk",
    "Dog", "Door", "Dream", "Dress", "Drive", "Egg", "Eye", "Face", "Farm", "Field", "Film",
    "Fire", "Fish", "Flag", "Food", "Foot", "Game", "Garden", "Gas", "Glass", "Gold", "Gun",
    "Hair", "Hall", "Hand", "Head", "Heart", "Home", "Horse", "House", "Ice", "Iron", "Key",
    "King", "Lake", "Land", "Leaf", "Light", "Lock", "Machine", "Map", "Mask", "Milk", "Mind",
    "Moon", "Music", "Night", "Oil", "Page", "Paper", "Park", "Phone", "Plant", "Plate", "Queen",
    "Radio", "Rain", "Ring", "River", "Road", "Rock", "Room", "School", "Sea", "Ship", "Shop",
    "Sky", "Snow", "Song", "Star", "Stone", "Street", "Sugar", "Sun", "Table", "Tea", "Tower",
    "Town", "Tree", "Truck", "Wall", "Watch", "Water", "Wheel", "Wind", "Window", "Wine", "Wood",
)  # fmt: skip

PLACES = ("school", "garden", "station", "church", "river", "farm", "bank", "museum")
THINGS = ("book", "key", "ring", "letter", "map", "ball", "camera", "box")

# Fifteen of one layout, so that each slot stands at one position in all of them. With the giver
# named second in the first clause (ABBA) and first (BABA) they make thirty.
GIVING = tuple(
    f"{opening} {{name_1}} and {{name_2}} {doing} the {{place}}, {{giver}} {gave} the {{thing}} to"
    for opening, doing, gave in (
        ("When", "met near", "gave"),
        ("While", "waited outside", "handed"),
        ("After", "walked past", "passed"),
        ("Before", "headed for", "brought"),
        ("Once", "stood inside", "showed"),
        ("As", "sat beside", "offered"),
        ("Because", "lived behind", "sent"),
        ("Since", "worked in", "sold"),
        ("Although", "argued about", "returned"),
        ("Where", "turned toward", "threw"),
        ("Though", "came from", "carried"),
        ("If", "moved to", "promised"),
        ("When", "returned to", "left"),
        ("While", "walked around", "offered"),
        ("After", "looked inside", "showed"),
    )
)

FACT = "The {relation} of {subject} is"
# By relation: the subject, and what is right after "is".
FACTS = {
    "capital": (
        "France Paris", "Italy Rome", "Spain Madrid", "Germany Berlin", "England London",
        "Russia Moscow", "Japan Tokyo", "China Beijing", "Egypt Cairo", "Greece Athens",
        "Austria Vienna", "Portugal Lisbon", "Ireland Dublin", "Norway Oslo", "Sweden Stockholm",
        "Denmark Copenhagen", "Finland Helsinki", "Poland Warsaw", "Hungary Budapest",
        "Turkey Ankara", "Iran Tehran", "Iraq Baghdad", "Syria Damascus", "Cuba Havana",
        "Canada Ottawa", "Scotland Edinburgh", "Ukraine Kiev", "Kenya Nairobi", "Thailand Bangkok",
        "Afghanistan Kabul", "Belgium Brussels", "Lebanon Beirut", "Libya Tripoli", "Peru Lima",
        "Taiwan Taipei", "Korea Seoul", "Vietnam Hanoi", "Israel Jerusalem", "Jordan Amman",
        "Chile Santiago", "Venezuela Caracas", "Romania Bucharest", "Serbia Belgrade",
        "Bulgaria Sofia", "Philippines Manila",
    ),
    "language": (
        "France French", "Italy Italian", "Spain Spanish", "Germany German", "England English",
        "Russia Russian", "Japan Japanese", "China Chinese", "Greece Greek", "Sweden Swedish",
        "Poland Polish", "Turkey Turkish", "Brazil Portuguese", "Egypt Arabic", "Mexico Spanish",
        "Austria German", "Australia English", "Ukraine Ukrainian", "Denmark Danish",
        "Finland Finnish", "Israel Hebrew", "Argentina Spanish", "Vietnam Vietnamese",
        "Portugal Portuguese", "Norway Norwegian", "Hungary Hungarian", "Iran Persian",
        "Jordan Arabic", "Korea Korean", "Chile Spanish",
    ),
    "continent": (
        "France Europe", "Egypt Africa", "China Asia", "Japan Asia", "Italy Europe",
        "Kenya Africa", "India Asia", "Spain Europe", "Nigeria Africa", "Poland Europe",
        "Thailand Asia", "Germany Europe", "Ethiopia Africa", "Vietnam Asia", "Libya Africa",
        "Sweden Europe",
    ),
    "currency": (
        "Japan yen", "Germany euros", "Mexico pesos", "India rupees", "Russia rubles",
        "England pounds", "America dollars", "Switzerland francs", "China yuan", "Canada dollars",
        "Sweden kron", "France euros", "Chile pesos", "Pakistan rupees",
    ),
    "opposite": (
        "hot cold", "big small", "up down", "left right", "black white", "good bad", "day night",
        "old new", "high low", "open closed", "wet dry", "hard soft", "fast slow", "rich poor",
        "early late", "full empty", "light dark", "true false", "love hate", "war peace",
        "life death", "north south", "east west", "win lose", "start end", "before after",
        "inside outside", "above below", "yes no", "strong weak", "long short", "push pull",
        "buy sell", "give take", "first last", "more less", "male female", "summer winter",
        "young old", "heaven hell", "friend enemy", "question answer", "always never",
        "everything nothing", "near far", "thick thin", "happy sad", "heavy light",
        "public private", "success failure", "remember forget", "winner loser",
    ),
    "plural": (
        "man men", "woman women", "child children", "foot feet", "tooth teeth", "mouse mice",
        "person people", "wife wives", "life lives", "city cities", "book books", "house houses",
        "dog dogs", "church churches", "country countries", "leaf leaves", "knife knives",
        "body bodies", "bus buses", "day days", "story stories", "box boxes", "wolf wolves",
        "army armies",
    ),
    "past": (
        "go went", "see saw", "take took", "give gave", "come came", "run ran", "eat ate",
        "write wrote", "speak spoke", "know knew", "think thought", "buy bought", "bring brought",
        "teach taught", "catch caught", "find found", "lose lost", "win won", "sing sang",
        "drink drank", "drive drove", "fly flew", "fall fell", "feel felt", "keep kept",
        "leave left", "make made", "sell sold", "send sent", "sleep slept", "stand stood",
        "tell told", "throw threw", "wear wore", "break broke", "choose chose",
    ),
    "colour": (
        "snow white", "blood red", "grass green", "coal black", "gold yellow", "milk white",
        "chocolate brown", "silver grey",
    ),
}  # fmt: skip
